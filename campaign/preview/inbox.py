"""Show a message as a line of an inbox: the sender, the subject, and the preview text.

Mail programs take the preview text from the beginning of the body, hidden or not (the preheader), and drop
the invisible characters that pad it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import parseaddr
from html.parser import HTMLParser

from campaign.preview.opened import OpenedMessage

LONGEST = 140
"""Characters of the preview text; the widest inboxes show about as many."""

_PADDING = re.compile(
    r"[\u034f\u00ad\u061c\u180e\u200b-\u200f\u2060-\u2064\u2800\u3164\ufeff\u00a0\u2007\u202f]+"
)
_FOLDED = re.compile(r"[ \t\r\n\f]+")
_UNSHOWN = {"style", "script", "title", "head", "template", "noscript"}


@dataclass(frozen=True, slots=True)
class InboxLine:
    """One line of an inbox."""

    sender: str
    subject: str
    beginning: str


def inbox_line(opened: OpenedMessage) -> InboxLine:
    """Return a message's line, with the sender's name, or the address if there is none."""
    name, address = parseaddr(opened.header("From"))
    text = _first_text(opened.html) if opened.html is not None else opened.text or ""
    # Padding takes up space in the line and shows nothing, so text after it does not fit.
    room = _FOLDED.sub(" ", text).strip()[:LONGEST]
    return InboxLine(name or address, opened.header("Subject"), " ".join(_PADDING.sub(" ", room).split()))


def _first_text(html: str) -> str:
    parser = _Text()
    parser.feed(html)
    parser.close()
    return parser.text


class _Text(HTMLParser):
    """Collects the first text of a body, up to the length of the preview text."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self._unshown = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _UNSHOWN:
            self._unshown += 1
        elif tag == "body":
            self._unshown, self.text = 0, ""
        elif tag in ("p", "div", "td", "tr", "br", "h1", "h2", "h3", "li"):
            self.text += " "

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSHOWN:
            self._unshown = max(0, self._unshown - 1)

    def handle_data(self, data: str) -> None:
        if not self._unshown and len(_FOLDED.sub(" ", self.text)) < 2 * LONGEST:
            self.text += data
