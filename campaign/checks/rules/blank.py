"""A template prints a column that is blank in some rows: "Dear ,".

Templates that handle a blank cell are not reported: `{{ first_name or "reader" }}`, `{% if first_name %}`.
"""

from __future__ import annotations

from collections.abc import Iterator

from campaign.checks.checked import Surveyed
from campaign.checks.found import Found
from campaign.checks.rule import Rule
from campaign.errors import Problem
from campaign.model import RESERVED
from campaign.templating.names import ROW
from campaign.wording import counted


class Check(Rule):
    """Reports columns that a template prints and that are blank in some rows."""

    def report(self, surveyed: Surveyed, found: Found) -> Iterator[Problem]:
        """Yield a warning for each such column."""
        for column, blank in surveyed.survey.blank.items():
            name = column if column.isidentifier() and column not in RESERVED else f"{ROW}[{column!r}]"
            place = surveyed.renderer.shown[column]
            where = f"{place.file}:{place.line}" if place.line is not None else place.file
            rows = counted(blank.rows.count, "row")
            yield self.warn_list(
                f"{column} is blank in {rows}, and a template prints it ({where});"
                f" write {{{{ {name} or '…' }}}}",
                blank.line,
                blank.rows,
            )
