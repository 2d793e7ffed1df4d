"""Read the few values of a campaign file that identify it, for commands that only look at the ledger.

`status`, `export`, `report`, `resolve`, `suppress` and `forget` must work even if the list, a template or a
certificate is missing, or a setting of the server is wrong. This module imports neither pydantic nor Jinja2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from campaign.campaignfile import readers
from campaign.campaignfile.explain import words
from campaign.campaignfile.location import Location, files_of, read_location
from campaign.campaignfile.yamlmarks import Document, read
from campaign.errors import Problem, UserError
from campaign.model import Window

_MISSING = object()
_SMTP_FILES = ("ca_file", "client_cert", "client_key", "password_file")


@dataclass(frozen=True, slots=True)
class Identity:
    """A campaign as its ledger knows it.

    `email` and `key` are columns of the list, or the defaults if they cannot be read. The rate is counted
    for `host` and `username`, or for `account`; `host` is None and `windows` is empty if the server's
    settings cannot be read. `copies` is the number of cc and bcc addresses of a message, as far as the file
    shows. `named_files` are all paths in the file and the file itself, whether they exist or not: no output
    overwrites one of them.
    """

    file: Path
    name: str
    ledger: Location
    email: str
    key: tuple[str, ...]
    host: str | None
    username: str | None
    account: str | None
    windows: tuple[Window, ...]
    copies: int
    named_files: frozenset[Path]

    @property
    def folder(self) -> Path:
        """The folder that contains the campaign file."""
        return self.file.parent


def identify(file: Path) -> Identity:
    """Read the values that identify a campaign.

    Raises UserError with all problems of `name` and `ledger`, or if the file is not valid YAML. Other
    values are not checked.
    """
    file = file.absolute()
    document = read(file)
    values = document.mapping("a campaign file begins with keys such as `name:` and `recipients:`")
    problems = [found for found in document.problems if found.path in ("name", "ledger")]
    name = values.get("name")
    ledger: Location = file.parent / "ledger.db"
    if not document.has_refused(("name",)):
        problems += _wrong_name(document, values.get("name", _MISSING))
    if "ledger" in values and not document.has_refused(("ledger",)):
        try:
            ledger = read_location(values["ledger"], file.parent)
        except ValueError as error:
            problems.append(_problem(document, "ledger", "value_error", str(error), values["ledger"]))
    if problems:
        raise UserError(*sorted(dict.fromkeys(problems), key=lambda p: (p.line or 0, p.column or 0)))
    smtp, smtp_file = _server(values.get("smtp"), file)
    host, username = _text(smtp.get("host")), _text(smtp.get("username"))
    email, key = _columns(values.get("recipients"))
    named = {file, *files_of(ledger), *_named(values, file.parent)}
    if smtp_file is not None:
        named.add(smtp_file)
    named |= set(_paths(smtp, _SMTP_FILES, (smtp_file or file).parent))
    return Identity(
        file=file,
        name=str(name),
        ledger=ledger,
        email=email,
        key=key,
        host=host,
        username=username,
        account=_text(smtp.get("account")),
        windows=_windows(values.get("rate")) or _windows(smtp.get("rate")),
        copies=sum(_count(values.get(key)) for key in ("cc", "bcc")),
        named_files=frozenset(named),
    )


def _wrong_name(document: Document, name: object) -> Iterator[Problem]:
    if name is _MISSING:
        yield document.problem(("name",), "is missing")
        return
    kind = ""
    if not isinstance(name, str):
        kind = "string_type"
    elif not name:
        kind = "string_too_short"
    elif len(name) > readers.MAX_NAME:
        kind = "string_too_long"
    if kind:
        yield _problem(document, "name", kind, "", name)
    for what in readers.unfit_name(name):
        yield document.problem(("name",), what)


def _problem(document: Document, key: str, kind: str, message: str, value: object) -> Problem:
    return document.problem((key,), words((key,), kind, message, value, document.plain.get((key,))))


def _server(smtp: object, file: Path) -> tuple[dict[str, object], Path | None]:
    """Return the server's settings, {} if they cannot be read, and the separate file that they are in."""
    if not isinstance(smtp, str):
        return (smtp if isinstance(smtp, dict) else {}), None
    settings: object = None
    try:
        path = readers.resolve(smtp, file.parent)
    except ValueError:
        return {}, None
    try:
        settings = read(path).value
    except UserError:
        settings = None
    return (settings if isinstance(settings, dict) else {}), path


def _columns(recipients: object) -> tuple[str, tuple[str, ...]]:
    """Return the email column and the key's columns."""
    values = recipients if isinstance(recipients, dict) else {}
    named = _text(values.get("email"))
    email = "email" if named is None else readers.composed(named)
    try:
        key = readers.texts(values["key"]) if "key" in values else (email,)
    except ValueError:
        key = (email,)
    texts = (
        tuple(readers.composed(item) for item in key if isinstance(item, str))
        if isinstance(key, tuple)
        else ()
    )
    return email, texts or (email,)


def _count(addresses: object) -> int:
    """Return the number of addresses in a value of `cc` or `bcc`."""
    return len(addresses) if isinstance(addresses, list) else int(bool(_text(addresses)))


def _windows(rate: object) -> tuple[Window, ...]:
    try:
        texts = readers.texts(rate)
        return tuple(map(readers.window, texts)) if isinstance(texts, tuple) else ()
    except ValueError:
        return ()


def _named(values: dict[str, object], folder: Path) -> Iterator[Path]:
    """Yield the files that the campaign's own keys name, except attachments by templates."""
    recipients = values.get("recipients")
    yield from _paths({"csv": recipients} if isinstance(recipients, str) else recipients, ("csv",), folder)
    yield from _paths(values.get("templates"), ("subject", "text", "html", "markdown", "mjml"), folder)
    yield from _paths(values.get("unsubscribe"), ("secret_file",), folder)
    yield from _paths(values.get("dkim"), ("key_file",), folder)
    bounces = values.get("bounces")
    imap = bounces.get("imap") if isinstance(bounces, dict) else None
    yield from _paths(imap, ("password_file", "ca_file"), folder)
    root = next(_paths(values, ("attachments_root",), folder), folder)
    attachments = values.get("attachments")
    for item in attachments if isinstance(attachments, list) else []:
        path = item.get("path") if isinstance(item, dict) else item
        if isinstance(path, str) and not readers.is_template(path):
            yield from _paths({"path": path}, ("path",), root)


def _paths(values: object, keys: tuple[str, ...], folder: Path) -> Iterator[Path]:
    if not isinstance(values, dict):
        return
    for key in keys:
        try:
            yield readers.resolve(values.get(key), folder)
        except ValueError:
            continue


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
