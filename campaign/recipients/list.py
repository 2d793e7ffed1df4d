"""The list: CSV → an iterator of Recipient and BadRow, one row in memory at a time.

In: the campaign file's `recipients`. The header is read at once and everything wrong with it raised
together; a bad row becomes a BadRow, whatever is wrong with it, and does not hide the next one. Row
N is the Nth data record, mailed or not, and blank rows are none; problems name the file's line.
Duplicate keys are not noticed here: that takes the whole list, and memory stays flat.
"""

from __future__ import annotations

import difflib
import json
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader, TextIOWrapper
from itertools import islice

from campaign.address import AddressError, fold, parse_address
from campaign.campaignfile.models import CampaignFile
from campaign.errors import Problem, Severity, UserError
from campaign.model import RESERVED, BadRow, Recipient
from campaign.recipients.asking import ListTemplates, Named, Record
from campaign.recipients.encoding import Encoding, is_text
from campaign.recipients.records import (
    CUT_LINE,
    SAMPLE,
    TOO_LONG,
    Lines,
    choose_delimiter,
    header_below,
    named_delimiter,
    records,
)
from campaign.wording import counted, shown

MAX_COLUMNS = 1000
_LOOKED_AT = 100  # records that are read to judge the header


class Recipients:
    """The campaign's list. Iterating reads the file from its start, each time.

    `columns` are the header's cells, `warnings` what is odd about them; `position` of `size` octets
    have been read, and `where` has left out `excluded` of the rows. Raises UserError with every
    problem of the header, `where`, `name` and `key`; where `found` is given, it takes those of a header
    that can be read, to be raised with others, and only where `is_readable` is true can the rows be read.
    """

    def __init__(self, campaign: CampaignFile, found: list[Problem] | None = None) -> None:
        self.settings = campaign.recipients
        self.file = shown(self.settings.csv)
        self._campaign = campaign
        try:
            self._encoding = Encoding(self.settings.encoding)
        except LookupError as error:
            raise UserError(campaign.problem("recipients.encoding", str(error))) from None
        with self._opened() as file:
            self.size = self.settings.csv.stat().st_size
            sample = file.read(SAMPLE)
        if "\0" in sample.partition("\n")[0]:  # one line perhaps, as long as the file
            what = f"the header is not {self._encoding}; {self._encoding.advice}"
            raise UserError(Problem(what, self.file, 1))
        named = named_delimiter(sample)
        self._skipped = 1 if named else 0  # lines above the header
        self.delimiter = self.settings.delimiter or named or choose_delimiter(sample, self.settings.email)
        self.position = 0
        self.excluded = 0
        self.columns, self._places, self._width = self._header(sample)
        self.warnings = tuple(self._odd_columns())
        problems = [*self._missing_columns(), *self._ambiguous()]
        try:
            self._templates = ListTemplates(campaign, self.columns)
        except UserError as error:
            problems += error.problems
        self.is_readable = not problems
        if found is not None:
            found += problems
        elif problems:
            raise UserError(*problems)

    @contextmanager
    def _opened(self) -> Iterator[TextIOWrapper[BufferedReader]]:
        try:
            with self._encoding.open(self.settings.csv) as file:
                yield file
        except OSError as error:
            what = f"the list {self.file} cannot be read: {error.strerror}"
            raise UserError(self._campaign.problem("recipients.csv", what)) from None
        except UnicodeError as error:  # a UTF-16 without its mark, which no character could stand for
            what = f"the list {self.file} is not {self._encoding} ({error}); {self._encoding.advice}"
            raise UserError(self._campaign.problem("recipients.encoding", what)) from None

    @property
    def name_columns(self) -> frozenset[str]:
        """The columns that the display name is made from."""
        return self._templates.name_columns

    def __iter__(self) -> Iterator[Recipient | BadRow]:
        self.excluded = 0
        with self._opened() as file:
            rows = records(self._lines(file), self.delimiter, self._width)
            next(rows, None)  # the header
            for named in self._templates.ask(self._read(rows, file)):
                if named.kept:
                    yield self._recipient(named)
                else:
                    self.excluded += 1

    def _read(
        self, rows: Iterator[tuple[int, list[str] | str]], file: TextIOWrapper[BufferedReader]
    ) -> Iterator[Record]:
        """Yield the records, without a look at what their cells say."""
        for number, (line, cells) in enumerate(rows, 1):
            if not number & 255:
                self.position = file.buffer.tell()
            wrong = cells if isinstance(cells, str) else self._unreadable(cells)
            if isinstance(cells, str) or (wrong and not is_text("".join(cells))):
                yield Record(number, line, wrong=wrong)
                continue
            if len(cells) == self._width > len(self.columns):
                cells = [cells[place] for place in self._places]
            yield Record(number, line, dict(zip(self.columns, cells, strict=not wrong)), wrong)

    def row(self, number: int) -> Recipient:
        """Return the row of this number. Raises UserError where it is bad, or not to be mailed."""
        for row in self:
            if row.number == number:
                if isinstance(row, Recipient):
                    return row
                raise UserError(*row.problems)
            if row.number > number:
                break
        raise UserError(f"row {number} is not among those to be mailed")

    def _recipient(self, named: Named) -> Recipient | BadRow:
        """Return the record's recipient, or what is wrong with it."""
        record, wrong, email = named.record, named.wrong, ""
        number, line, row = record.number, record.line, record.row
        if record.wrong:
            return BadRow(number, line, "", (Problem(record.wrong, self.file, line, row=number),), row)
        try:
            email = parse_address(row[self.settings.email])
        except AddressError as error:
            wrong = f"{self.settings.email}: {error}"
        key = self._key(row, email)
        if not key and not wrong:
            wrong = f"the key is blank ({', '.join(self.settings.key)})"
        if wrong:
            return BadRow(number, line, key, (Problem(wrong, self.file, line, row=number),), row)
        return Recipient(number, line, key, email, named.name, row)

    def _unreadable(self, cells: list[str]) -> str:
        """Say what is wrong with a record as a whole, "" for nothing."""
        whole = "".join(cells)
        if not is_text(whole):
            if CUT_LINE in whole:
                return TOO_LONG
            place = next(place for place, cell in enumerate(cells) if not is_text(cell))
            column = self.columns[place] if place < len(self.columns) else f"cell {place + 1}"
            return f"{column} is not {self._encoding}; {self._encoding.advice}"
        if right := self._encoding.in_utf_8(whole):
            wrong = next(cell for cell in cells if not cell.isascii())
            right = self._encoding.in_utf_8(wrong) or right
            return f"{wrong!r} is {right!r} in UTF-8; {self._encoding.advice}"
        count = self._width
        if len(cells) == count > len(self.columns):
            for place, cell in enumerate(cells):
                if place not in self._places and cell.strip():
                    return f"{cell.strip()!r} stands in column {place + 1}, which has no name in the header"
        if len(cells) != count:
            many = "fewer" if len(cells) < count else "more"
            return f"the row has {counted(len(cells), 'cell')}, {many} than the header's {count}" + (
                "; is there a delimiter in a cell without quotes?" if many == "more" else ""
            )
        return "the row has a NUL character in it" if "\0" in whole else ""

    def _key(self, row: Mapping[str, str], email: str) -> str:
        """Return the row's key, composed (NFC), "" where a part of it is blank."""
        if self.settings.key == (self.settings.email,):
            return fold(email)
        parts = [
            fold(email)
            if column == self.settings.email
            else unicodedata.normalize("NFC", row[column].strip())
            for column in self.settings.key
        ]
        if not all(parts):
            return ""
        return parts[0] if len(parts) == 1 else json.dumps(parts, ensure_ascii=False)

    def _lines(self, file: TextIOWrapper[BufferedReader]) -> Lines:
        """Return the lines from the header on."""
        lines = Lines(file)
        for _ in zip(range(self._skipped), lines, strict=False):
            pass
        return lines

    def _header(self, sample: str) -> tuple[tuple[str, ...], tuple[int, ...], int]:
        """Return the columns, the places of their cells, and how many cells a row has.

        A column without a name is none, if the rows have nothing in it.
        """
        with self._opened() as file:
            rows = records(self._lines(file), self.delimiter)
            first = next(rows, None)
            if first is None:
                raise UserError(Problem("the list is empty; its first row names the columns", self.file))
            line, cells = first
            if isinstance(cells, str):
                raise UserError(Problem(f"the header cannot be read: {cells}", self.file, line))
            names = [cell.strip() for cell in cells]
            used = set[int]()
            for _, row in islice(rows, 0 if all(names) else _LOOKED_AT):
                used.update(place for place, cell in enumerate(row) if cell.strip())
        if self.settings.email not in names:
            below = header_below(sample, self.settings.email)
            if below is not None and below > line:
                above = "the line" if below == 2 else "the lines"
                what = f"this line looks like the header; remove {above} above it"
                raise UserError(Problem(what, self.file, below))
        problems = []
        if len(names) > MAX_COLUMNS:
            problems.append(f"the header has more than {MAX_COLUMNS} columns")
        if any("\0" in column or not is_text(column) for column in names):
            problems.append(f"the header is not {self._encoding}; {self._encoding.advice}")
        elif right := self._encoding.in_utf_8("".join(names)):
            problems.append(f"the header has {right!r} in UTF-8; {self._encoding.advice}")
        for place, column in enumerate(names[:MAX_COLUMNS]):
            if not column and place in used:
                problems.append(f"column {place + 1} has no name in the header")
            elif column and column in names[:place]:
                problems.append(f"two columns are named {column!r}")
        if problems:
            raise UserError(*(Problem(what, self.file, line) for what in problems))
        places = tuple(place for place, column in enumerate(names) if column)
        return tuple(filter(None, names)), places, len(names)

    def _missing_columns(self) -> Iterator[Problem]:
        wanted: dict[str, tuple[str, ...]] = {"recipients.email": (self.settings.email,)}
        if self.settings.key != (self.settings.email,):
            wanted["recipients.key"] = self.settings.key
        for path, columns in wanted.items():
            for column in columns:
                if column in self.columns:
                    continue
                plain = {known.casefold(): known for known in self.columns}
                near = difflib.get_close_matches(column.casefold(), plain, 1, 0.5)
                hint = f"; did you mean {plain[near[0]]!r}?" if near else ""
                named = ", ".join(self.columns[:20])
                what = f"the list has no column {column!r}{hint}; its columns are {named}"
                if len(self.columns) == 1 and self.settings.delimiter is None:
                    what += ". If they are one by mistake, name the `delimiter`"
                yield self._campaign.problem(path, f"{what} ({self.file})")

    def _ambiguous(self) -> Iterator[Problem]:
        for name in self._campaign.vars:
            if name in self.columns:
                yield self._campaign.problem(
                    f"vars.{name}", f"the list has a column {name!r} too; give one of them another name"
                )

    def _odd_columns(self) -> Iterator[Problem]:
        for column in self.columns:
            if column in RESERVED:
                what = f"the column {column!r} has a name that is ours; in templates write row[{column!r}]"
                yield Problem(what, self.file, 1, severity=Severity.WARNING, rule="columns")
