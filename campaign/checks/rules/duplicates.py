"""Several rows have the same key: the first is mailed, the others are left out."""

from __future__ import annotations

from collections.abc import Iterator

from campaign.checks.checked import Surveyed
from campaign.checks.found import Found
from campaign.checks.rule import Rule
from campaign.errors import Problem
from campaign.wording import counted


class Check(Rule):
    """Reports the rows that are left out because an earlier row has the same key."""

    def report(self, surveyed: Surveyed, found: Found) -> Iterator[Problem]:
        """Yield a warning for each later row, up to a limit, and one for the rest."""
        duplicates = surveyed.survey.duplicates
        for problem in duplicates.shown:
            yield self.warn_list(problem.message, problem.line)
        if duplicates.beyond:
            yield self.warn_list(
                f"and {counted(duplicates.beyond, 'more row')} with the key of an earlier row"
            )
