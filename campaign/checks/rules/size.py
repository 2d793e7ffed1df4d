"""A message is larger than many receivers accept."""

from __future__ import annotations

from collections.abc import Iterator

from campaign.checks.checked import Surveyed
from campaign.checks.found import Found
from campaign.checks.rule import Rule
from campaign.errors import Problem

MOST = 10_000_000
"""Octets. Exchange Online and Gmail accept 25 MB and more; many others only 10."""


class Check(Rule):
    """Reports messages that are larger than many receivers accept."""

    def report(self, surveyed: Surveyed, found: Found) -> Iterator[Problem]:
        """Yield a warning if the largest message is larger."""
        if surveyed.survey.largest > MOST:
            size = surveyed.survey.largest / 1e6
            yield self.at(
                surveyed.campaign.problem("attachments", ""),
                f"the largest message has {size:.1f} MB, and many receivers refuse more than 10; link to it",
            )
