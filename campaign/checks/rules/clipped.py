"""Gmail shows the first 102 KB of an HTML part and hides the rest, unsubscribe link included.

Google does not publish the limit; it was measured (github.com/hteumeuleu/email-bugs/issues/41). The
largest HTML part of all rows counts.
"""

from __future__ import annotations

from collections.abc import Iterator

from campaign.checks.checked import Surveyed
from campaign.checks.finding import Finding
from campaign.checks.found import Found
from campaign.checks.rule import Rule
from campaign.checks.seen import Seen
from campaign.errors import Problem
from campaign.model import Recipient

MOST = 102_000
"""Octets of HTML."""

_NEAR = 0.95


class Check(Rule):
    """Reports HTML parts that Gmail shows only in part."""

    def see(self, recipient: Recipient, message: Seen) -> Iterator[Finding]:
        html = message.html or ""
        if len(html) * 4 <= MOST * _NEAR:  # UTF-8 has at most four octets for a character
            return
        size = len(html.encode())
        if size > MOST * _NEAR:
            place = self.checked.sources.template("html", "mjml", "markdown")
            yield self.find(self.at(place, ""), "clipped", size)

    def report(self, surveyed: Surveyed, found: Found) -> Iterator[Problem]:
        """Yield a warning if the HTML of a row is near that size, or over it."""
        for kept in found.by_key.values():
            rows = kept.ranges.rows
            words = "" if rows.count == surveyed.survey.messages else f" ({rows})"
            what = f"the HTML has up to {kept.amount // 1000} KB; Gmail hides all after {MOST // 1000} KB"
            yield self.at(kept.problem, f"{what}{words}")
