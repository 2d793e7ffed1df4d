"""Gmail shows the first 102 KB of an HTML part and hides the rest, unsubscribe link included.

Google publishes no number; it was measured (github.com/hteumeuleu/email-bugs/issues/41). The largest
HTML part of all rows counts.
"""

from __future__ import annotations

from collections.abc import Iterator

from campaign.checks.checked import Checked
from campaign.checks.rule import Rule
from campaign.checks.seen import Seen
from campaign.errors import Problem
from campaign.model import Recipient
from campaign.preparation import RowRanges

MOST = 102_000
"""Octets of HTML."""

_NEAR = 0.95


class Check(Rule):
    """See the module."""

    def __init__(self, checked: Checked, name: str) -> None:
        super().__init__(checked, name)
        self._largest = 0
        self._over = RowRanges()

    def see(self, recipient: Recipient, message: Seen) -> None:
        html = message.html or ""
        if len(html) * 4 <= MOST * _NEAR:  # UTF-8 has at most four octets for a character
            return
        size = len(html.encode())
        self._largest = max(self._largest, size)
        if size > MOST * _NEAR:
            self._over.add(recipient.number)

    def report(self) -> Iterator[Problem]:
        """Yield a warning where a row's HTML is near that size, or over it."""
        rows = self._over.rows
        if not rows.count:
            return
        words = "" if rows.count == self.checked.survey.messages else f" ({rows})"
        place = self.checked.sources.template("html", "mjml", "markdown")
        what = f"the HTML has up to {self._largest // 1000} KB; Gmail hides what follows {MOST // 1000} KB"
        yield self.at(place, f"{what}{words}")
