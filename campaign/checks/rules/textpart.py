"""A text part that differs from the HTML part, says almost nothing, or is HTML itself.

Some programs show the text part, and filters compare the two (SpamAssassin's MPART_ALT_DIFF). Without
`templates.text` it is made from the HTML and cannot differ. Words of four letters or more are compared. A
warning if most words of the text part are not in the HTML, or if it has less than a tenth as many words
and no link to a page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from html import unescape
from itertools import filterfalse

from campaign.checks.checked import Checked
from campaign.checks.finding import Finding
from campaign.checks.rule import Rule
from campaign.checks.seen import Seen
from campaign.model import Recipient

SHARE = 0.4
"""The share of the text part's words that must be in the HTML too."""

_FEWEST = 12  # words of a text part; with fewer, a share means nothing
_LONG = 80  # words of an HTML part; a tenth of a shorter one may be enough
_TAG = re.compile(r"<!doctype html|<(?:html|body)\b|</(?:p|td|div)>", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]{4,}")
_ADDRESS = re.compile(r"(?:https?://|mailto:)\S+")


class Check(Rule):
    """Reports text parts that differ from the HTML part, or say almost nothing."""

    def __init__(self, checked: Checked, name: str) -> None:
        super().__init__(checked, name)
        files = checked.content.files
        self._is_written = "templates.text" in files
        self._two = self._is_written and not files.keys().isdisjoint(("templates.html", "templates.mjml"))
        self._place = checked.sources.template("text")
        self._text, self._html = _Words(), _Words()

    def see(self, recipient: Recipient, message: Seen) -> Iterator[Finding]:
        if (
            self._is_written
            and message.text is not None
            and "<" in message.text
            and _TAG.search(message.text)
        ):
            what = "the text part is HTML, and readers see its tags; name such a template in templates.html"
            yield self.find(self.at(self._place, what))
        if not self._two or message.text is None or message.page is None:
            return
        common_text, more_text = self._text.of(message.lines)
        common_html, more_html = self._html.of(message.page.nodes)
        shared = _shared(common_text, common_html)
        # The words that all messages have in common are enough to decide for most of them.
        most_text = len(common_text) + sum(map(len, more_text))
        most_html = len(common_html) + sum(map(len, more_html))
        if shared >= SHARE * most_text and len(common_text) * 10 >= most_html:
            return
        text, html = common_text.union(*more_text), common_html.union(*more_html)
        if len(text) >= _FEWEST and len(text & html) < SHARE * len(text):
            what = "most words of the text part are not in the HTML part: one may belong to another letter"
            yield self.find(self.at(self._place, what))
        elif len(html) >= _LONG and len(text) * 10 < len(html) and "http" not in message.text:
            what = "the text part says almost nothing of what the HTML part says"
            yield self.find(self.at(self._place, f"{what}; without it, one is made from the HTML"))


class _Words:
    """The words of texts that have most pieces in common; those of the common pieces are kept as one set."""

    def __init__(self) -> None:
        self._pieces: frozenset[str] | None = None
        self._together = frozenset[str]()

    def of(self, pieces: Sequence[str]) -> tuple[frozenset[str], list[frozenset[str]]]:
        """Return the words of the pieces that all texts had so far, and those of each other piece."""
        common = frozenset(pieces) if self._pieces is None else self._pieces.intersection(pieces)
        if self._pieces is None or len(common) < len(self._pieces):
            self._pieces = common
            self._together = frozenset[str]().union(*map(_words, common))
        return self._together, [*map(_words, filterfalse(common.__contains__, pieces))]


@lru_cache(maxsize=64)
def _shared(one: frozenset[str], other: frozenset[str]) -> int:
    return len(one & other)


@lru_cache(maxsize=4096)
def _words(piece: str) -> frozenset[str]:
    if "@" in piece:
        piece = " ".join(word for word in piece.split() if "@" not in word.strip("@"))
    return frozenset(_WORD.findall(_ADDRESS.sub(" ", unescape(piece)).casefold()))
