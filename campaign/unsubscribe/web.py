"""The WSGI application: with a token in the URL, GET shows a page, and POST unsubscribes (RFC 8058 3.2).

GET never unsubscribes, because mail scanners follow links. The ledger is opened for each request, so it is
always the file at its path. The page says "done" only after the commit: if the ledger is locked, missing or
not writable, the answer is 503.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterable
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from campaign.errors import UserError
from campaign.ledger import Ledger
from campaign.ledger.returns import Fate, Kind, Mailed, Rules, Said
from campaign.unsubscribe.pages import Pages
from campaign.unsubscribe.settings import Settings, read_settings

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from campaign.ledger.returning import Returns

FILE = "CAMPAIGN_FILE"
"""The environment variable that names the campaign file of `app`."""

# Mail programs and people may include characters that follow a link in a text.
_TOKEN = re.compile(r"([0-9a-f]{20})(?![0-9a-z])", re.IGNORECASE)
MOST_READ = 64 * 1024
"""The most octets of a request's body, which contains nothing that the URL does not."""
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = [
    ("Content-Type", "text/html; charset=utf-8"),
    ("Content-Security-Policy", _POLICY),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Robots-Tag", "noindex"),
    ("Cache-Control", "no-store"),
]
_REASONS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}
_log = logging.getLogger(__name__)


class Application:
    """The page for all campaigns in the ledger that the campaign file names.

    If `file` is None, the environment variable CAMPAIGN_FILE names it. `unknown` counts tokens that the
    ledger does not know.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self.unknown = 0

    @cached_property
    def _settings(self) -> Settings:
        file = self._file or os.environ.get(FILE)
        if not file:
            raise UserError(f"the environment variable {FILE} names no campaign file")
        return read_settings(Path(file))

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        accepted = environ.get("HTTP_ACCEPT_LANGUAGE", "")
        pages, extra = Pages({}, ""), []
        if method == "POST":
            _drain(environ)
        try:
            settings = self._settings
            pages = Pages(settings.texts, settings.mailto)
            if method not in ("GET", "HEAD", "POST"):
                code, page, extra = 405, "", [("Allow", "GET, HEAD, POST")]
            else:
                code, page = self._answer(settings, pages, _token(environ), accepted, acts=method == "POST")
        except UserError as error:
            _log.error("nobody was unsubscribed: %s", error)
            code, page, extra = 503, pages.failed(pages.language(accepted), "later"), [("Retry-After", "60")]
        body = page.encode()
        length = [("Content-Length", str(len(body)))]
        start_response(f"{code} {_REASONS[code]}", [*_HEADERS, *extra, *length])
        return [] if method == "HEAD" else [body]

    def _answer(
        self, settings: Settings, pages: Pages, token: str, accepted: str, *, acts: bool
    ) -> tuple[int, str]:
        """Return the status code and the page. Raises UserError if nothing could be recorded."""
        ledger = Ledger.open(settings.ledger, settings.name, create=False, read_only=not acts)
        with closing(ledger):
            returns = ledger.returns(of_every_campaign=True)
            mailed = returns.of_token(token) if token else None
            if mailed is None or mailed.own not in mailed.addresses:
                self.unknown += 1
                _log.warning("an unknown token (%s so far): nobody was unsubscribed", self.unknown)
                return 404, pages.failed(pages.language(accepted), "unknown")
            language = pages.language(returns.cell(mailed, "language"), accepted)
            if not acts:
                return 200, pages.question(language, mailed.own)
            _record(returns, mailed)
            _log.info("unsubscribed a row of campaign %s", mailed.campaign)
            return 200, pages.done(language, mailed.own)


def _record(returns: Returns, mailed: Mailed) -> None:
    """Record the request under an identity of its own, so that it also counts after a manual undo."""
    now = time.time_ns()
    said = [Said(Kind.UNSUBSCRIBED, (mailed.own,), "one-click")]
    recorded = returns.record(mailed, said, f"one-click {now}", now, Rules())
    if [one.fate for one in recorded] != [Fate.SUPPRESSED]:
        raise UserError(f"the ledger did not take it: {', '.join(one.fate for one in recorded)}")


def _token(environ: WSGIEnvironment) -> str:
    """Return the token: the last segment of the path, or the parameter `token`, or ""."""
    path: str = environ.get("PATH_INFO", "")
    segment = path.rstrip("/").rpartition("/")[2]
    query = parse_qs(environ.get("QUERY_STRING", "")).get("token", [""])[0]
    found = _TOKEN.match(segment) or _TOKEN.match(query)
    return found[1].lower() if found is not None else ""


def _drain(environ: WSGIEnvironment) -> None:
    """Read the body, unless it is large: some servers send no answer before that."""
    try:
        length = int(environ.get("CONTENT_LENGTH") or 0)
    except ValueError:
        length = 0
    environ["wsgi.input"].read(min(max(length, 0), MOST_READ))


app = Application()
