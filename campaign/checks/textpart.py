"""A text part that says something else than the HTML part, or next to nothing.

Some programs show the text part, and filters compare the two (SpamAssassin's MPART_ALT_DIFF). Without
`templates.text` it is made from the HTML and cannot differ, so there is nothing missing either. Words of
four letters or more are compared: a warning where most of the text part's are not in the HTML, or where
it has less than a tenth as many words and no link to a page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from campaign.checks.checked import Checked
from campaign.checks.finding import Finding
from campaign.checks.page import shown
from campaign.checks.rule import Rule
from campaign.checks.seen import Seen
from campaign.model import Recipient

SHARE = 0.4
"""Of the text part's words, as many at least are in the HTML too."""

_FEWEST = 12  # words of a text part from which on a share means something
_LONG = 80  # words of an HTML part that a text part of a tenth cannot say
_WORD = re.compile(r"[^\W\d_]{4,}")
_ADDRESS = re.compile(r"(?:https?://|mailto:)\S+")


class Check(Rule):
    """See the module."""

    def __init__(self, checked: Checked, name: str) -> None:
        super().__init__(checked, name)
        files = checked.content.files
        self._two = "templates.text" in files and not files.keys().isdisjoint(
            ("templates.html", "templates.mjml")
        )
        self._place = checked.sources.template("text")

    def see(self, recipient: Recipient, message: Seen) -> Iterator[Finding]:
        if not self._two or message.text is None or message.page is None:
            return
        # Line by line, as most lines are the same in all messages.
        text = frozenset[str]().union(*map(_words, message.text.split("\n")))
        html = frozenset[str]().union(*map(_words_of_html, message.page.body.split("\n")))
        if len(text) >= _FEWEST and len(text & html) < SHARE * len(text):
            what = "most words of the text part are not in the HTML part: one may be another letter's"
            yield self.find(self.at(self._place, what))
        elif len(html) >= _LONG and len(text) * 10 < len(html) and "http" not in message.text:
            what = "the text part says next to nothing of what the HTML part says"
            yield self.find(self.at(self._place, f"{what}; without it, one is made from the HTML"))


@lru_cache(maxsize=4096)
def _words(line: str) -> frozenset[str]:
    if "@" in line:
        line = " ".join(piece for piece in line.split() if "@" not in piece.strip("@"))
    return frozenset(_WORD.findall(_ADDRESS.sub(" ", line).casefold()))


@lru_cache(maxsize=4096)
def _words_of_html(line: str) -> frozenset[str]:
    return _words(shown(line))
