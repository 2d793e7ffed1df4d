"""No row of the list is to be mailed: it has none, or `where` leaves out all of them."""

from __future__ import annotations

from collections.abc import Iterator

from campaign.checks.checked import Checked
from campaign.errors import Problem
from campaign.wording import counted


def check(checked: Checked) -> Iterator[Problem]:
    """Yield a warning at `where`, or at the list."""
    if checked.survey.rows:
        return
    excluded = checked.preparation.recipients.excluded
    if excluded:
        rows = counted(excluded, "row")
        what = f"matches nobody: it leaves out all of the list's {rows}. Cells are text, and compared exactly"
        yield checked.warn("recipients.where", what)
    else:
        yield checked.warn_list("the list has a header and no rows: nobody is mailed")
