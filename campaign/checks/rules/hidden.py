"""Rows are hidden in the workbook, as by a filter, and get mail like the others.

Whoever filters a sheet and saves it sees only some of the rows. Where the campaign chooses rows by `where`,
nothing is reported.
"""

from __future__ import annotations

from collections.abc import Iterator

from campaign.checks.checked import Surveyed
from campaign.checks.found import Found
from campaign.checks.rule import Rule
from campaign.errors import Problem
from campaign.wording import counted


class Check(Rule):
    """Reports hidden rows."""

    def report(self, surveyed: Surveyed, found: Found) -> Iterator[Problem]:
        """Yield a warning at the list."""
        hidden = surveyed.recipients.hidden
        if hidden and surveyed.campaign.recipients.where is None:
            is_one = hidden == 1
            are, get, them = ("is", "gets", "it") if is_one else ("are", "get", "them")
            what = f"{counted(hidden, 'row')} {are} hidden in the sheet and {get} mail too"
            yield self.warn_list(f"{what}; delete {them}, or choose rows with `where`")
