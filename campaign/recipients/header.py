"""Read the columns from a table's first row, and report what is wrong with them.

A column without a name is ignored if its cells are blank. If two columns have the same name, the first one
counts; that is an error only if something uses the name.
"""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

from campaign.address import AddressError, parse_address
from campaign.errors import Problem, Severity, UserError
from campaign.model import RESERVED
from campaign.recipients.table import Table
from campaign.templating.names import plain

MAX_COLUMNS = 1000
_LOOKED_AT = 100  # records that are read to judge the header
_LISTED = 20  # columns that a message names
_PLACED = 6  # positions of one name that a message lists
_PLAIN = re.compile(r"\w[\w .@/()+-]*")  # YAML needs no quotes for it
_UNSEEN = "\ufeff\u200b\u200c\u200d\u2060"
BETWEEN = " ::: "
"""The separator that Google Contacts writes between several values in one cell."""


@dataclass(frozen=True, slots=True)
class Header:
    """The columns of a table.

    `names` are all cells of the header, "" for a blank one; `columns` are those that a row has, and
    `places` the positions of their cells, from 0. `addresses` are the columns in which the first rows have
    addresses; cells of the columns in `crowded` contain several.
    """

    line: int
    names: tuple[str, ...]
    columns: tuple[str, ...]
    places: tuple[int, ...]
    addresses: tuple[str, ...]
    crowded: frozenset[str]

    @property
    def width(self) -> int:
        """The number of cells in a row."""
        return len(self.names)

    @property
    def repeated(self) -> tuple[str, ...]:
        """The names that several columns have."""
        counts = Counter(self.names)
        return tuple(column for column in self.columns if counts[column] > 1)

    def where(self, name: str) -> str:
        """Return the positions of the columns with a name, in words."""
        places = [str(place) for place, one in enumerate(self.names, 1) if one == name]
        *others, last = places if len(places) <= _PLACED else [*places[:_PLACED], "others"]
        return f"columns {', '.join(others)} and {last}"

    def cells(self, cells: list[str]) -> list[str]:
        """Return the cells of the named columns of a complete row."""
        if len(cells) != len(self.names) or len(self.columns) == len(self.names):
            return cells
        return [cells[place] for place in self.places]

    def stray(self, cells: Sequence[str]) -> int | None:
        """Return the position of a cell that is not blank and whose column has no name."""
        if len(self.columns) == len(self.names):
            return None
        named = zip(self.names, cells, strict=True)
        return next((place for place, (name, cell) in enumerate(named) if not name and cell.strip()), None)


def read_header(table: Table, file: str, email: str) -> Header:
    """Read the columns of a table. Raises UserError with all their problems."""
    with closing(table.rows()) as rows:
        first = next(rows, None)
        if first is None:
            raise UserError(Problem("the list is empty; its first row names the columns", file))
        line, cells = first
        if isinstance(cells, str):
            raise UserError(Problem(f"the header cannot be read: {cells}", file, line))
        names = tuple(map(_name, cells))
        sample = [row for _, row in islice(rows, _LOOKED_AT) if not isinstance(row, str)]
    if email not in names:
        below = table.header_below(email)
        if below is not None and below > line:
            above = "the line" if below == 2 else "the lines"
            raise UserError(Problem(f"this line looks like the header; remove {above} above it", file, below))
        if (otherwise := table.separated_otherwise(email)) is not None:
            raise UserError(otherwise)
        if (address := next(filter(_is_address, names), "")) != "":
            what = f"the first line looks like data: it has the address {address!r}"
            above = "add a line above it that names the columns, such as `email`"
            raise UserError(Problem(f"{what}; {above}", file, line))
    problems = []
    if len(names) > MAX_COLUMNS:
        problems.append(f"the header has more than {MAX_COLUMNS} columns")
    if unfit := table.unfit_header(names):
        problems.append(unfit)
    used = {place for row in sample for place, cell in enumerate(row) if cell.strip()}
    for place, column in enumerate(names[:MAX_COLUMNS]):
        if not column and place in used:
            problems.append(f"column {place + 1} has no name in the header")
    if problems:
        raise UserError(*(Problem(what, file, line) for what in problems))
    first_of = {column: place for place, column in reversed(list(enumerate(names))) if column}
    places = tuple(sorted(first_of.values()))
    addresses = {
        names[place]: several
        for place in (places if email not in names else ())
        if (several := _has_addresses(row[place] for row in sample if place < len(row))) is not None
    }
    columns = tuple(names[place] for place in places)
    crowded = frozenset(column for column, several in addresses.items() if several)
    return Header(line, names, columns, places, tuple(addresses), crowded)


def _name(cell: str) -> str:
    """Return a column's name in composed form (NFC), as keyboards write it, and without invisible spaces.

    Joined files leave a second byte order mark, and web pages zero-width spaces.
    """
    return unicodedata.normalize("NFC", cell.strip().strip(_UNSEEN).strip())


def _is_address(cell: str) -> bool:
    try:
        parse_address(cell)
    except AddressError:
        return False
    return True


def _has_addresses(cells: Iterator[str]) -> bool | None:
    """Whether some cells contain several addresses; None if most contain none."""
    known = [cell.split(BETWEEN) for cell in map(str.strip, cells) if cell]
    several = [len(parts) > 1 for parts in known if all(map(_is_address, parts))]
    return any(several) if several and 2 * len(several) > len(known) else None


def missing(header: Header, column: str, *, is_email: bool) -> str:
    """Return the message that the list has no such column, and which one may be meant."""
    hint = ""
    if is_email and len(header.addresses) == 1:
        (only,) = header.addresses
        hint = f"; write `recipients.email: {_address_of(header, only)}`"
    else:
        nearest = _nearest(column, (is_email and header.addresses) or header.columns)
        hint = f"; did you mean {nearest!r}?" if nearest else ""
        if is_email and header.addresses:
            hint += f"; there are addresses in {_listed(header.addresses)}"
    return f"the list has no column {column!r}{hint}; its columns are {', '.join(header.columns[:_LISTED])}"


def _address_of(header: Header, column: str) -> str:
    """Return the value of `recipients.email` for the addresses in a column."""
    if column in header.crowded:
        return first_of(column)
    return column if _PLAIN.fullmatch(column) else json.dumps(column, ensure_ascii=False)


def first_of(column: str) -> str:
    """Return the value of `recipients.email` for the first of several addresses in a cell."""
    return json.dumps(f"{{{{ row[{column!r}].split({BETWEEN!r})[0] }}}}", ensure_ascii=False)


def _listed(columns: Sequence[str]) -> str:
    *others, last = map(repr, columns[:_LISTED])
    return f"{', '.join(others)} and {last}"


def _nearest(column: str, columns: Sequence[str]) -> str:
    """Return the column with the most similar name, by letters and digits only, or ""."""
    named = {plain(known): known for known in reversed(columns)}
    near = difflib.get_close_matches(plain(column), named, len(named) or 1, 0.5)
    best = [name for name in near if _likeness(column, name) == _likeness(column, near[0])]
    return next((known for known in columns if plain(known) in best), "")


def _likeness(column: str, name: str) -> float:
    return difflib.SequenceMatcher(a=name, b=plain(column)).ratio()


def repeated(header: Header, used: Collection[str], user: str, file: str) -> Iterator[Problem]:
    """Yield an error for each duplicate name that is in `used`; `user` says what uses it."""
    for column in header.repeated:
        if column in used:
            what = f"{header.where(column)} have the same name, {column!r}, and {user} uses it"
            yield Problem(f"{what}; give each a name of its own", file, header.line)


def odd(header: Header, file: str) -> Iterator[Problem]:
    """Yield warnings about the names of columns."""
    for column in header.columns:
        if column in RESERVED:
            what = f"the column {column!r} has a reserved name; in templates write row[{column!r}]"
            yield Problem(what, file, header.line, severity=Severity.WARNING, rule="columns")
    for column in header.repeated:
        what = (
            f"{header.where(column)} have the same name, {column!r}; nothing uses it, and the first is kept"
        )
        yield Problem(what, file, header.line, severity=Severity.WARNING, rule="columns")
