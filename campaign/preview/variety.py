"""Choose a few rows that differ as much as possible: one of them shows most mistakes in a template.

The list is read once, at most its first LOOKED_AT rows, and only candidates are kept in memory. The
same list gives the same rows.
"""

from __future__ import annotations

import heapq
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b

from campaign.model import Recipient

LOOKED_AT = 20_000
"""Rows that are looked at: they show most of a list's variety, and reading a million takes a minute."""

_COLUMNS = 40  # columns that are examined individually
_VALUES = 12  # the most distinct values of a column that templates may branch on
_LONG = 40  # characters of a value in a reason
_REASONS = 4
_TELLING = 12  # characters that a column's longest cell must have to be chosen
_MUCH = 1.5  # how many times its average it must have


@dataclass(frozen=True, slots=True)
class Chosen:
    """A row to preview, and why it was chosen."""

    recipient: Recipient
    why: tuple[str, ...] = ()


@dataclass(slots=True)
class _Best:
    """The row with the highest score; the first of equal ones."""

    score: int = 0
    row: Recipient | None = None

    def see(self, score: int, row: Recipient) -> None:
        if self.row is None or score > self.score:
            self.score, self.row = score, row


@dataclass(slots=True)
class _Column:
    """A column's longest cell, its first blank one, and its values as long as they are few."""

    longest: _Best = field(default_factory=_Best)
    blank: Recipient | None = None
    values: dict[str, Recipient] = field(default_factory=dict)
    cells: int = 0
    characters: int = 0

    @property
    def varies(self) -> bool:
        """Whether its longest cell is much longer than others; all dates, for example, are alike."""
        return self.longest.score >= max(_TELLING, _MUCH * self.characters / max(1, self.cells))

    @property
    def choice(self) -> bool:
        """Whether it has few distinct values, such as a plan or a language: templates branch on these."""
        return 1 < len(self.values) <= _VALUES and self.cells >= 3 * len(self.values)

    def see(self, cell: str, row: Recipient) -> None:
        cell = cell.strip()
        self.cells += 1
        self.characters += len(cell)
        self.longest.see(len(cell), row)
        if not cell:
            self.blank = self.blank or row
        elif len(self.values) <= _VALUES:
            self.values.setdefault(cell, row)


_TRAITS = (
    "first row", "longest name", "most blank cells", "right to left", "last row", "shortest name",
    "not ASCII", "longest row", "shortest row",
)  # fmt: skip


def varied(rows: Iterable[Recipient], columns: tuple[str, ...], most: int) -> list[Chosen]:
    """Return at most `most` rows that differ from each other, in the list's order."""
    best = {trait: _Best() for trait in _TRAITS}
    looked_at = {column: _Column() for column in columns[:_COLUMNS]}
    spread: list[tuple[int, int, Recipient]] = []
    for count, row in enumerate(rows):
        if count == LOOKED_AT:
            del best["last row"]  # there are more
            break
        for trait, score in _scores(row):
            best[trait].see(score, row)
        for column, seen in looked_at.items():
            seen.see(row.row[column], row)
        # The rows with the smallest digests of their keys: spread over the list, and always the same.
        place = (-int.from_bytes(blake2b(row.key.encode(), digest_size=8).digest()), row.number, row)
        if len(spread) < most:
            heapq.heappush(spread, place)
        else:
            heapq.heappushpop(spread, place)
    chosen: dict[int, tuple[Recipient, list[str]]] = {}
    others = [row for _, _, row in sorted(spread, reverse=True)]
    for why, candidate, column in _candidates(best, looked_at, others):
        shown = _shown_by(chosen, candidate, column)
        if shown is not None:
            chosen[shown][1].append(why)
        elif len(chosen) < most:
            chosen[candidate.number] = (candidate, [why])
    return [
        Chosen(row, tuple(reason for reason in why if reason)[:_REASONS])
        for _, (row, why) in sorted(chosen.items())
    ]


def _scores(row: Recipient) -> Iterator[tuple[str, int]]:
    cells = row.row.values()
    text = "".join(cells)
    yield "first row", 0  # equal scores keep the first one
    yield "last row", row.number
    if row.name:
        yield "longest name", len(row.name)
        yield "shortest name", -len(row.name)
    blank = sum(not cell.strip() for cell in cells)
    if blank:
        yield "most blank cells", blank
    yield "longest row", len(text)
    yield "shortest row", -len(text)
    if not text.isascii():
        if any(unicodedata.bidirectional(character) in ("R", "AL") for character in text):
            yield "right to left", 0
        else:
            yield "not ASCII", sum(character > "\u024f" for character in text)  # beyond Latin, if any


def _shown_by(
    chosen: dict[int, tuple[Recipient, list[str]]], candidate: Recipient, column: str
) -> int | None:
    """Return the chosen row that is the candidate, or has the same value in `column`."""
    if candidate.number in chosen:
        return candidate.number
    if not column:
        return None
    value = candidate.row[column].strip()
    return next((n for n, (row, _) in sorted(chosen.items()) if row.row[column].strip() == value), None)


def _candidates(
    best: dict[str, _Best], columns: dict[str, _Column], spread: list[Recipient]
) -> Iterator[tuple[str, Recipient, str]]:
    """Yield (reason, row, column), the most useful first; rows with an equal value in it are as good."""
    for trait, found in best.items():
        if found.row is not None:
            yield trait, found.row, ""
    for column, seen in columns.items():
        if seen.choice:
            for value, row in seen.values.items():
                yield f"{column}: {value[:_LONG]}", row, column
    for column, seen in columns.items():
        if seen.blank is not None:
            yield f"no {column}", seen.blank, column
    for column, seen in columns.items():
        if seen.longest.row is not None and seen.varies and not seen.choice:
            yield f"longest {column}", seen.longest.row, ""
    for row in spread:
        yield "", row, ""
