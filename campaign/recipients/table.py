"""The interface of a file with rows: a CSV file (`csvfile`) or the sheet of a workbook (`excel`)."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol, TypeAlias

from campaign.errors import Problem

Rows: TypeAlias = Generator[tuple[int, list[str] | str], None, None]
"""(line, cells) of each record, or (line, what is wrong with it)."""


class Table(Protocol):
    """A file of rows, the header first. `position` of its `size` octets have been read.

    `hidden` is how many rows below the header, of those that were read last, a spreadsheet does not show.
    """

    size: int
    position: int
    hidden: int

    def rows(self, width: int = 0) -> Rows:
        """Read from the start. Close it after use.

        Blank records are left out. A record should have `width` cells, if that is known. Raises
        UserError if the file cannot be read.
        """

    def unfit(self, cells: Sequence[str], names: Sequence[str]) -> tuple[str, bool]:
        """Return what is wrong with the text of cells in the columns `names`, or "".

        Also return whether the cells are text nevertheless.
        """

    def separated_otherwise(self, column: str) -> Problem | None:
        """Return a problem if the rows seem to have another delimiter than they were read with.

        `column` is one that the header should have, but does not.
        """

    def unfit_header(self, names: Sequence[str]) -> str:
        """Return what is wrong with the text of the header, or ""."""

    def header_below(self, column: str) -> int | None:
        """Return the line that looks like the header, by this column; a title may stand above it."""

    def advice(self, columns: Sequence[str]) -> str:
        """Return how else to read the file if these are not its columns, or ""."""
