"""The names that a template may use: the list's columns and the program's own; and a row for templates."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

ROW = "row"
"""The name that gives access to every column, whatever it is called: `row['First Name']`."""


_BLANKS = " \t\u00a0"
_SHOWN_NAMES = 12
# Names that only a key of the campaign file defines.
_OF_A_KEY = {"unsubscribe": "; the campaign file has no `unsubscribe:`"}
_CLOCK = "; templates know no time, so that what is sent is what was previewed: write the date among `vars`"
_OF_A_CLOCK = dict.fromkeys(("now", "today", "current_date", "current_year"), _CLOCK)


@dataclass(frozen=True, slots=True)
class Names:
    """The names that a template may use: the list's `columns`, and `others`.

    A column with a reserved name, or one that is not an identifier, can only be reached through `row`.
    """

    columns: tuple[str, ...] = ()
    others: frozenset[str] = frozenset()

    def known(self) -> frozenset[str]:
        """Return every name that can be used without `row`."""
        return self.others | {column for column in self.columns if column.isidentifier()} | {ROW}

    def written(self, column: str) -> str:
        """Return a column as a template writes it."""
        alone = column.isidentifier() and column not in self.others and column != ROW
        return column if alone else f"{ROW}[{column!r}]"

    def listing(self) -> str:
        """Return a phrase that lists the columns."""
        some = ", ".join(self.columns[:_SHOWN_NAMES])
        more = len(self.columns) - _SHOWN_NAMES
        return f"the list's columns are {some}" + (f" and {more} more" if more > 0 else "")

    def unknown(self, name: str, *, column: bool = False, meant: str = "") -> str:
        """Return a sentence that `name` is unknown; it suggests `meant`, or else the nearest known name."""
        what = f"the list has no column {name!r}" if column else f"{name!r} is not defined"
        near = difflib.get_close_matches(name, self.columns if column else self.known() - {ROW}, 1)
        spaced = [c for c in self.columns if not c.isidentifier() and plain(c) == plain(name) and not column]
        meant = meant or (self.written(spaced[0]) if spaced else "")
        hint = f"; write {meant}" if meant else f"; did you mean {near[0]!r}?" if near else ""
        if not column and name in _OF_A_KEY:
            return f"{what}{_OF_A_KEY[name]}"
        if not column and not hint and name in _OF_A_CLOCK:
            return f"{what}{_OF_A_CLOCK[name]}"
        return f"{what}{hint}; {self.listing()}" if self.columns else f"{what}{hint}"


def trimmed(row: Mapping[str, str]) -> dict[str, str]:
    """Return a row as templates see it: without blanks around its cells.

    With a blank at its end, `**{{ name }}**` would not be bold, and `Dear {{ name }},` would read `Dear
    Ann ,`. A line end stays: in a header it is an attack or a mistake, and must be reported.
    """
    return {column: cell.strip(_BLANKS) for column, cell in row.items()}


def row_context(row: Mapping[str, str]) -> dict[str, object]:
    """Return the context in which a list's own templates (`name`, `where`) see one row."""
    row = trimmed(row)
    return {**row, ROW: row}


def plain(name: str) -> str:
    """Return a name without case, blanks, hyphens and underscores: people take such names for the same."""
    return name.replace(" ", "").replace("_", "").replace("-", "").casefold()
