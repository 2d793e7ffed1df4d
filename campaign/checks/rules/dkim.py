"""The DKIM key is weak, or signs for another domain than the sender's.

For DMARC, the signature's domain must be the one in From, or above or below it (RFC 7489 3.1.1).
"""

from __future__ import annotations

from collections.abc import Iterator

from campaign.address import domain_of
from campaign.checks.checked import Surveyed
from campaign.checks.finding import Finding
from campaign.checks.found import Found
from campaign.checks.rule import Rule
from campaign.checks.seen import Seen
from campaign.errors import Problem
from campaign.model import Recipient


class Check(Rule):
    """Reports a weak DKIM key, or one for another domain than the sender's."""

    def see(self, recipient: Recipient, message: Seen) -> Iterator[Finding]:
        ours, theirs = self.checked.facts.signs_for, domain_of(message.sender)
        if ours is None:
            return
        if theirs and not (ours == theirs or ours.endswith(f".{theirs}") or theirs.endswith(f".{ours}")):
            what = f"{ours} is not the sender's domain, {theirs}: DMARC requires that they align"
            yield self.find(self.warn("dkim.domain", what))

    def report(self, surveyed: Surveyed, found: Found) -> Iterator[Problem]:
        """Yield the warnings about the key, and one if the domain does not align."""
        yield from surveyed.renderer.warnings
        yield from super().report(surveyed, found)
