"""Imports suppression entries from a table: our own export, or that of another tool.

Mail services name the column `Email Address`, `EMAIL` or `emailAddress`, separate cells by commas,
semicolons or tabs, or write no header; spreadsheets write UTF-16. All of these are accepted. If any line
cannot be understood, it is reported, and nothing is imported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from campaign.address import AddressError, fold, parse_address
from campaign.errors import Problem, UserError
from campaign.ledger.patterns import parse_pattern
from campaign.ledger.suppressions import Suppression
from campaign.recipients.encoding import Encoding, is_text, marked_encoding
from campaign.recipients.excel.recognition import is_workbook
from campaign.recipients.records import SAMPLE, Lines, choose_delimiter, line_end, named_delimiter, records
from campaign.wording import shown

# Names of the address column, in lower case and letters only; the most specific first: `address` may
# be a street address.
_NAMES = ("email", "emailaddress", "emails", "mail", "mailaddress", "useremail", "recipient", "address")
_REASON, _ADDED_AT = "reason", "added_at"
_NOT_UTF_8 = "is not in the file's encoding; name the right one with --encoding, such as cp1252"


@dataclass(frozen=True, slots=True)
class _Layout:
    """The indexes of the cells that are used, from 0; None if there is no such column."""

    address: int
    reason: int | None = None
    added_at: int | None = None
    has_header: bool = True


def read_suppressions(
    path: Path, now: int, column: str | None = None, encoding: str | None = None
) -> list[Suppression]:
    """Return the entries of a CSV file, or of a workbook's first sheet, each pattern once.

    `column` names the address column. `encoding` is that of the CSV; without it, the byte order mark
    decides, or it is UTF-8. An entry without a time gets `now`, UTC ns. Raises UserError with everything
    that is wrong, and where.
    """
    entries: dict[str, Suppression] = {}
    problems: list[Problem] = []
    layout: _Layout | None = None
    rows = _of_a_sheet(path) if is_workbook(path) else _of_a_csv(path, column, encoding)
    for line, cells in rows:
        if isinstance(cells, str):
            problems.append(Problem(cells, shown(path), line))
            continue
        if layout is None:
            layout = _layout(cells, column, Problem("", shown(path), line))
            if layout.has_header:
                continue
        try:
            entry = _entry(cells, layout, now)
            entries.setdefault(entry.pattern, entry)
        except ValueError as error:  # an AddressError too
            problems.append(Problem(str(error), shown(path), line))
    if layout is None and not problems:
        problems.append(Problem("the file is empty", shown(path)))
    if problems:
        raise UserError(*problems)
    return list(entries.values())


def _of_a_csv(path: Path, column: str | None, named: str | None) -> Iterator[tuple[int, list[str] | str]]:
    try:
        encoding = Encoding(named or marked_encoding(path))
    except LookupError as error:
        raise UserError(f"--encoding: {error}") from None
    try:
        with encoding.open(path) as file:
            sample = file.read(SAMPLE)
        end = line_end(sample)
        sample = sample.replace(end, "\n")
        delimiter = named_delimiter(sample)
        with encoding.open(path, end) as file:
            lines = records(Lines(file, end), delimiter or choose_delimiter(sample, column or ""))
            yield from islice(lines, 1 if delimiter else 0, None)
    except UnicodeError as error:  # UTF-16 without a byte order mark
        raise UserError(Problem(f"the file is not {encoding} ({error})", shown(path))) from None


def _of_a_sheet(path: Path) -> Iterator[tuple[int, list[str] | str]]:
    from campaign.recipients.excel.parts import Unreadable
    from campaign.recipients.excel.workbook import first_sheet, opened_sheet

    try:
        with opened_sheet(path, first_sheet) as sheet:
            yield from (
                (line, cells) for line, cells in sheet.rows() if not isinstance(cells, list) or any(cells)
            )
    except (Unreadable, OSError) as error:
        raise UserError(Problem(f"the workbook cannot be read: {error}", shown(path))) from None


def _layout(cells: list[str], column: str | None, place: Problem) -> _Layout:
    """Return the layout, judging by the first record. Raises UserError if no column holds addresses."""
    names = [cell.strip() for cell in cells]
    plain = [_plain(name) for name in names]
    if column is not None:
        address = next((at for at, name in enumerate(names) if name.lower() == column.strip().lower()), None)
        wrong = f"there is no column {column!r}; the columns are {_listed(names)}"
    elif (place_of := _first_address(cells)) is not None:
        return _Layout(place_of, has_header=False)
    else:
        address = next((plain.index(name) for name in _NAMES if name in plain), None)
        wrong = f"which column holds the addresses? Name it with --column; the columns are {_listed(names)}"
    if address is None:
        raise UserError(Problem(wrong, place.file, place.line))
    reason = plain.index(_REASON) if _REASON in plain else None
    return _Layout(address, reason, names.index(_ADDED_AT) if _ADDED_AT in names else None)


def _plain(name: str) -> str:
    return re.sub("[^a-z]", "", name.lower())


def _listed(names: Sequence[str]) -> str:
    return ", ".join(name if is_text(name) else "(not UTF-8)" for name in names[:20])


def _first_address(cells: list[str]) -> int | None:
    """Return the index of the first cell with an address, or 0 for a record that is just a domain.

    A header has neither, so None means that the record is one.
    """
    for at, cell in enumerate(cells):
        if "@" in cell or len(cells) == 1:
            try:
                parse_pattern(cell)
            except AddressError:
                continue
            return at
    return None


def _entry(cells: list[str], layout: _Layout, now: int) -> Suppression:
    """Return the entry of a record. Raises ValueError, which says what is wrong."""
    address, reason, added_at = _said(cells, layout)
    if not layout.has_header and len(_addresses(cells)) > 1:
        raise ValueError("holds two addresses; write one a line, or a header that names the columns")
    return Suppression(parse_pattern(address), reason or "imported", _time(added_at) if added_at else now)


def _addresses(cells: list[str]) -> set[str]:
    """Return the addresses among the cells, folded."""
    found = set()
    for cell in cells:
        with suppress(AddressError):
            found.add(fold(parse_address(cell)))
    return found


def _said(cells: list[str], layout: _Layout) -> Iterator[str]:
    for at in (layout.address, layout.reason, layout.added_at):
        cell = cells[at].strip() if at is not None and at < len(cells) else ""
        if not is_text(cell):
            raise ValueError(f"cell {(at or 0) + 1} {_NOT_UTF_8}")
        yield cell


def _time(text: str) -> int:
    """Return an ISO 8601 time as UTC ns; without a zone it is UTC. Raises ValueError."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"added_at: {text!r} is no time such as 2026-05-01T12:00:00+00:00") from None
    if not 1970 <= time.year < 2200:
        raise ValueError(f"added_at: {text!r} is no time between 1970 and 2200")
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1e9)


def parse_patterns(texts: Iterable[str]) -> list[str]:
    """Return the patterns for addresses and domains. Raises UserError with every one that is wrong."""
    parsed, problems = [], []
    for text in texts:
        try:
            parsed.append(parse_pattern(text))
        except AddressError as error:
            problems.append(Problem(f"{text!r}: {error}"))
    if problems:
        raise UserError(*problems)
    return parsed
