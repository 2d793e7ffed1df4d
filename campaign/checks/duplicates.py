"""Two rows have one key: the first is mailed, the others are left out."""

from __future__ import annotations

from collections.abc import Iterator

from campaign.checks.checked import Checked
from campaign.errors import Problem
from campaign.wording import counted


def check(checked: Checked) -> Iterator[Problem]:
    """Yield a warning for each later row, up to a number, and one for the others."""
    duplicates = checked.survey.duplicates
    for problem in duplicates.shown:
        yield checked.warn_list(problem.message, problem.line)
    if duplicates.beyond:
        yield checked.warn_list(
            f"and {counted(duplicates.beyond, 'more row')} whose key stands above already"
        )
