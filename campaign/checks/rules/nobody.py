"""Nobody is mailed: the list has no rows, or `where` leaves out all of them."""

from __future__ import annotations

from collections.abc import Iterator

from campaign.checks.checked import Surveyed
from campaign.checks.found import Found
from campaign.checks.rule import Rule
from campaign.errors import Problem
from campaign.wording import counted


class Check(Rule):
    """Reports a campaign that mails nobody."""

    def report(self, surveyed: Surveyed, found: Found) -> Iterator[Problem]:
        """Yield a warning at `where`, or at the list."""
        if surveyed.survey.rows:
            return
        excluded = surveyed.recipients.excluded
        if excluded:
            rows = f"all of the list's {counted(excluded, 'row')}"
            what = f"matches nobody: it leaves out {rows}. Cells are text, and compared exactly"
            yield self.warn_file(surveyed, "recipients.where", what)
        else:
            yield self.warn_list("the list has a header and no rows: nobody is mailed")
