"""What the list needs of a file with rows, whatever its kind: CSV (`csvfile`) or a workbook's sheet."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol, TypeAlias

from campaign.errors import Problem

Rows: TypeAlias = Generator[tuple[int, list[str] | str], None, None]
"""(line, cells) of each record, or (line, what is wrong with it)."""


class Table(Protocol):
    """A file of rows, the header first. `position` of `size` octets have been read."""

    size: int
    position: int

    def rows(self, width: int = 0) -> Rows:
        """Read from the start. Close it after use.

        Blank records are left out. A record should have `width` cells, where that is known. Raises
        UserError where the file cannot be read.
        """

    def unfit(self, cells: Sequence[str], names: Sequence[str]) -> tuple[str, bool]:
        """Say what is wrong with the text of cells in the columns `names`, "" for nothing.

        Also, whether the cells are text all the same.
        """

    def separated_otherwise(self, column: str) -> Problem | None:
        """Return what is wrong where the rows seem to be separated otherwise than they were read.

        `column` is one that the header should have, and has not.
        """

    def unfit_header(self, names: Sequence[str]) -> str:
        """Say what is wrong with the text of the header, "" for nothing."""

    def header_below(self, column: str) -> int | None:
        """Return the line that looks like the header, by this column; a title may stand above it."""

    def advice(self, columns: Sequence[str]) -> str:
        """Say how else the file may be read, where these are not its columns; "" for nothing."""
