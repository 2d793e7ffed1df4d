"""Messages whose subject is blank: people take them for spam, and so do filters."""

from __future__ import annotations

from collections.abc import Iterator

from campaign.checks.checked import Checked
from campaign.errors import Problem
from campaign.wording import counted


def check(checked: Checked) -> Iterator[Problem]:
    """Yield a warning where there is one."""
    blank = checked.survey.blank_subject
    if blank.rows:
        yield checked.warn_list(
            f"the subject is blank in {counted(blank.rows, 'message')}, the first of them for this row",
            blank.line,
        )
