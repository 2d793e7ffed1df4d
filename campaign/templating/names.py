"""What a template may name: the list's columns, and the names that are ours; a row as templates see it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

ROW = "row"
"""The name under which every column is reachable, whatever it is called: `row['First Name']`."""


_BLANKS = " \t\u00a0"


_SHOWN_NAMES = 12


@dataclass(frozen=True, slots=True)
class Names:
    """What a template may name: the list's `columns`, and `others`.

    A column whose name is no identifier, or is reserved, is reachable through `row` only.
    """

    columns: tuple[str, ...] = ()
    others: frozenset[str] = frozenset()

    def known(self) -> frozenset[str]:
        """Every name that may stand alone."""
        return self.others | {column for column in self.columns if column.isidentifier()} | {ROW}

    def written(self, column: str) -> str:
        """Return what a template writes for a column."""
        alone = column.isidentifier() and column not in self.others and column != ROW
        return column if alone else f"{ROW}[{column!r}]"

    def listing(self) -> str:
        """The columns, as a person reads them."""
        some = ", ".join(self.columns[:_SHOWN_NAMES])
        more = len(self.columns) - _SHOWN_NAMES
        return f"the list's columns are {some}" + (f" and {more} more" if more > 0 else "")

    def unknown(self, name: str, *, column: bool = False, meant: str = "") -> str:
        """Say that `name` is not known, with `meant`, what to write instead, or with the nearest that is."""
        what = f"the list has no column {name!r}" if column else f"{name!r} is not defined"
        near = difflib.get_close_matches(name, self.columns if column else self.known() - {ROW}, 1)
        spaced = [c for c in self.columns if not c.isidentifier() and plain(c) == plain(name) and not column]
        meant = meant or (self.written(spaced[0]) if spaced else "")
        hint = f"; write {meant}" if meant else f"; did you mean {near[0]!r}?" if near else ""
        return f"{what}{hint}; {self.listing()}" if self.columns else f"{what}{hint}"


def trimmed(row: Mapping[str, str]) -> dict[str, str]:
    """Return a row as templates see it: without what a spreadsheet leaves around its cells.

    `**{{ name }}**` is no emphasis with a blank before its end, and `Dear Ann ,` is nobody's wish. A
    line end stays: in a header it is an attack, or a slip, and is told.
    """
    return {column: cell.strip(_BLANKS) for column, cell in row.items()}


def row_context(row: Mapping[str, str]) -> dict[str, object]:
    """Return the context in which a list's own templates (`name`, `where`) see one row."""
    row = trimmed(row)
    return {**row, ROW: row}


def plain(name: str) -> str:
    """Return a name by its letters and digits alone: what people take for the same."""
    return name.replace(" ", "").replace("_", "").replace("-", "").casefold()
