"""A link that leads nowhere, or elsewhere than it says.

- Without an address, or only `#` or `http://`: a placeholder.
- Relative, or without a scheme (`www.example.com`): in a mail there is no page that it could be relative to.
- `file:` or localhost: it works on your machine only. An error.
- To a host in a private network, such as `http://intranet/` or 192.168.1.2: it works for few readers.
- To a place in the mail (`#dates`) that does not exist.
- `javascript:`, which mail programs remove.
- With a text that is an address in another domain than the link's: phishing looks like that, and filters
  and mail programs warn of it (SpamAssassin, Thunderbird). Links that a tracker has rewritten do that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from campaign.checks.addresses import host_of, is_of_own_network, is_of_this_machine, same_site
from campaign.checks.finding import Finding
from campaign.checks.page import Link, Page
from campaign.checks.rule import Rule
from campaign.checks.seen import Seen
from campaign.errors import Severity
from campaign.model import Recipient

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_PLACE = re.compile(r"#[A-Za-z][\w.:-]*")
_UNFILLED = re.compile(r"[*\[{<$%#@«]")  # a merge tag, which `mergetags` reports
_IN_TEXT = re.compile(r"(?:file:/|https?://(?:localhost|127\.))[^\s<>\"]*", re.IGNORECASE)
# A text that is an address and nothing else; without a scheme or www., only with a well-known ending.
_SHOWS = re.compile(
    r"(?:https?://|(?=www\.))([\w-]+(?:\.[\w-]+)+)(?:[/?#:]\S*)?"
    r"|((?:[\w-]+\.)+(?:com|org|net|edu|gov|info|biz|eu|de|at|ch|fr|uk|nl|be|it|es|pl|se|dk|fi|us|ca|au))(?:/\S*)?",
    re.IGNORECASE,
)


class Check(Rule):
    """Reports links that lead nowhere, or elsewhere than they say."""

    def see(self, recipient: Recipient, message: Seen) -> Iterator[Finding]:
        if message.page is not None:
            for link in message.page.links:
                for severity, what, kind in _judged(link):
                    # An empty address is everywhere; the content of the link is easier to find.
                    written = f">{link.inside}<" if kind == "empty" and link.inside else link.tag.raw["href"]
                    place = self.in_html(written)
                    key = f"{place.file}\0{place.line}\0{kind}" if kind == "elsewhere" else ""
                    yield self.find(self.at(place, what, severity), key)
            yield from self._nowhere(message.page)
        text = message.text or ""
        if "localhost" in text or "127." in text or "file:/" in text:
            for address in filter(is_of_this_machine, _IN_TEXT.findall(text)):
                yield self.find(self.at(self.in_html(address), _ours(address), Severity.ERROR))

    def _nowhere(self, page: Page) -> Iterator[Finding]:
        """Yield the links to places in the mail that do not exist."""
        wanted = [link for link in page.links if _PLACE.fullmatch(link.tag.attributes["href"])]
        if wanted:
            there = {tag.attributes.get(name) for tag in page.tags for name in ("id", "name")}
            for link in wanted:
                address = link.tag.attributes["href"]
                # The page's top needs no name (HTML 7.4.6.3).
                if address[1:] not in there and address.lower() != "#top":
                    what = f"a link leads to {address}, and nothing in the mail has that id"
                    yield self.find(self.at(self.in_html(link.tag.raw["href"]), what))


@lru_cache(maxsize=1024)
def _judged(link: Link) -> tuple[tuple[Severity, str, str], ...]:
    address = link.tag.attributes["href"]
    path = address.find("/", len("https://")) if address.startswith(("https://", "http://")) else -1
    if path > 0 and not _faults_of(address[:path], link.text):
        return ()  # what follows the host may have a row's values, and makes no difference
    return tuple(_faults(address, link.text))


@lru_cache(maxsize=1024)
def _faults_of(origin: str, text: str) -> tuple[tuple[Severity, str, str], ...]:
    return tuple(_faults(f"{origin}/", text))


def _faults(address: str, text: str) -> Iterator[tuple[Severity, str, str]]:
    """Yield the faults of a link to an address with a text: severity, sentence, and kind."""
    shown = address if len(address) <= 60 else f"{address[:59]}…"
    named = f" ({text[:40]})" if text else ""
    if is_of_this_machine(address):
        yield Severity.ERROR, _ours(shown), "ours"
    elif not address or address == "#":
        yield Severity.WARNING, f"a link{named} has no address", "empty"
    elif address.lower() in ("http://", "https://", "mailto:", "tel:"):
        yield Severity.WARNING, f"a link{named} leads to {address} and nothing after it", "empty"
    elif address.lower().startswith("javascript:"):
        yield Severity.WARNING, f"a link{named} runs a script, which mail programs remove", "script"
    elif address.startswith("//") or _SCHEME.match(address) is None:
        if not _UNFILLED.match(address):
            what = f"the link to {shown!r} has no https://; in a mail, a link cannot be relative"
            yield Severity.WARNING, what, "relative"
    else:
        host = host_of(address)
        if is_of_own_network(host):
            what = f"the link to {shown!r} works in a private network only"
            yield Severity.WARNING, what, "own network"
        yield from _elsewhere(text, host)


def _elsewhere(text: str, host: str) -> Iterator[tuple[Severity, str, str]]:
    shown = _SHOWS.fullmatch(text) if host else None
    if shown is not None:
        says = (shown[1] or shown[2]).lower()
        if not same_site(says, host):
            what = f"a link says {says} and leads to {host}, which looks like phishing"
            yield Severity.WARNING, what, "elsewhere"


def _ours(address: str) -> str:
    return f"the link to {address!r} works on this machine only"
