"""Read the list, CSV or workbook, as Recipient and BadRow, with one row in memory at a time.

In: the campaign file's `recipients`. The header is read at once, and all its problems are raised together;
a bad row becomes a BadRow, and does not hide the next one. Row N is the Nth data record, mailed or not,
without blank rows; problems name the file's line. Duplicate keys are found elsewhere: that needs the whole
list, and memory stays flat here.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing

from campaign.address import AddressError, fold, parse_address
from campaign.campaignfile.models import CampaignFile
from campaign.campaignfile.readers import is_template
from campaign.errors import Problem, UserError
from campaign.model import BadRow, Recipient
from campaign.recipients.asking import ListTemplates, Named, Record
from campaign.recipients.csvfile import CsvFile
from campaign.recipients.excel.recognition import is_workbook
from campaign.recipients.header import BETWEEN, first_of, missing, odd, read_header, repeated
from campaign.recipients.table import Table
from campaign.templating.names import Names
from campaign.wording import counted, shown


class Recipients:
    """The campaign's list. Iterating reads the file from its start, each time.

    `columns` are those of the header, `warnings` are about them, and `excluded` is the number of rows that
    `where` has left out. Raises UserError with every problem of the header, `where`, `name`, `email` and
    `key`. If `found` is given, problems of a readable header are added to it instead, to be raised with
    others; then rows can be read only if `is_readable` is true.
    """

    def __init__(self, campaign: CampaignFile, found: list[Problem] | None = None) -> None:
        self.settings = campaign.recipients
        self.file = shown(self.settings.csv)
        self._campaign = campaign
        self._has_column = not is_template(self.settings.email)  # otherwise `email` is a template
        self.table = _table(campaign)
        self.excluded = 0
        self._header = read_header(self.table, self.file, self.settings.email)
        self.columns = self._header.columns
        self.warnings = tuple(odd(self._header, self.file))
        problems = list(self._missing_columns())
        others = list(self._ambiguous())
        try:
            self._templates = ListTemplates(campaign, self.columns)
            problems += self._repeated()
        except UserError as error:
            if all(problem.path == "recipients.name" for problem in error.problems):
                others += error.problems
                self._templates = ListTemplates(_without_name(campaign), self.columns)
            else:
                problems += error.problems
        self.is_readable = not problems
        problems += others
        if found is not None:
            found += problems
        elif problems:
            raise UserError(*problems)

    @property
    def size(self) -> int:
        """The size of the file in octets."""
        return self.table.size

    @property
    def position(self) -> int:
        """The number of octets that have been read."""
        return self.table.position

    @property
    def hidden(self) -> int:
        """How many rows a spreadsheet does not show, as if they were filtered out; they are read too."""
        return self.table.hidden

    @property
    def name_columns(self) -> frozenset[str]:
        """The columns that the display name is made from."""
        return self._templates.name_columns

    @property
    def email_columns(self) -> frozenset[str]:
        """The columns that the address is made from."""
        return frozenset((self.settings.email,)) if self._has_column else self._templates.email_columns

    def repeated_in(self, columns: Collection[str]) -> list[Problem]:
        """Return an error for each duplicate column name that the templates of messages use."""
        return list(repeated(self._header, columns, "a template", self.file))

    def __iter__(self) -> Iterator[Recipient | BadRow]:
        self.excluded = 0
        with closing(self.table.rows(self._header.width)) as rows:
            next(rows, None)  # the header
            for named in self._templates.ask(self._read(rows)):
                if named.kept:
                    yield self._recipient(named)
                else:
                    self.excluded += 1

    def misshapen(self) -> Iterator[BadRow]:
        """Yield the rows that are not valid records, whether or not `where` keeps them."""
        with closing(self.table.rows(self._header.width)) as rows:
            next(rows, None)  # the header
            for record in self._read(rows):
                if record.wrong:
                    yield self._bad(record)

    def _read(self, rows: Iterator[tuple[int, list[str] | str]]) -> Iterator[Record]:
        """Yield the records, without checking the content of their cells."""
        for number, (line, cells) in enumerate(rows, 1):
            if isinstance(cells, str):
                yield Record(number, line, wrong=cells)
                continue
            wrong, is_text = self.table.unfit(cells, self._header.names)
            if not is_text:
                yield Record(number, line, wrong=wrong)
                continue
            wrong = wrong or self._misshapen(cells)
            row = dict(zip(self.columns, self._header.cells(cells), strict=not wrong))
            yield Record(number, line, row, wrong)

    def row(self, number: int) -> Recipient:
        """Return the row with this number. Raises UserError if it is bad, or not to be mailed."""
        kept = 0
        for row in self:
            kept += 1  # noqa: SIM113  (it is asked for behind the loop)
            if row.number == number:
                if isinstance(row, Recipient):
                    return row
                raise UserError(*row.problems)
            if row.number > number:
                break
        else:
            count = kept + self.excluded
            if number > count:
                raise UserError(
                    Problem(f"there is no row {number}: the list has {counted(count, 'row')}", self.file)
                )
        raise UserError(Problem(f"row {number} is left out by `where`: it gets no mail", self.file))

    def _recipient(self, named: Named) -> Recipient | BadRow:
        """Return the record's recipient, or a BadRow with what is wrong with it."""
        record, wrong, email = named.record, named.wrong, ""
        number, line, row = record.number, record.line, record.row
        if record.wrong:
            return self._bad(record)
        written = row[self.settings.email] if self._has_column else named.email
        if written is not None:
            try:
                email = parse_address(written)
            except AddressError as error:
                wrong = f"{self.settings.email if self._has_column else 'recipients.email'}: {error}"
        key = self._key(row, email)
        if not key and not wrong:
            wrong = f"the key is blank ({', '.join(self.settings.key)})"
        if wrong:
            same = named.same if wrong == named.wrong else ""
            if self._has_column and BETWEEN in (written or ""):
                same = "several addresses"  # whichever they are
                wrong += f"; for the first of several: `recipients.email: {first_of(self.settings.email)}`"
            return BadRow(number, line, key, (Problem(wrong, self.file, line, row=number, same=same),), row)
        return Recipient(number, line, key, email, named.name, row)

    def _bad(self, record: Record) -> BadRow:
        problem = Problem(record.wrong, self.file, record.line, row=record.number)
        return BadRow(record.number, record.line, "", (problem,), record.row)

    def _misshapen(self, cells: list[str]) -> str:
        """Return what is wrong with the cells of a record, or ""."""
        count = self._header.width
        if len(cells) != count:
            many = "fewer" if len(cells) < count else "more"
            return f"the row has {counted(len(cells), 'cell')}, {many} than the header's {count}" + (
                "; is there a delimiter in a cell without quotes?" if many == "more" else ""
            )
        stray = self._header.stray(cells)
        if stray is not None:
            return f"{cells[stray].strip()!r} is in column {stray + 1}, which has no name in the header"
        return "the row has a NUL character in it" if "\0" in "".join(cells) else ""

    def _key(self, row: Mapping[str, str], email: str) -> str:
        """Return the row's key in composed form (NFC), or "" if a part of it is blank."""
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

    def _missing_columns(self) -> Iterator[Problem]:
        name = (self.settings.name or "").strip()
        if name in self.columns:
            write = f'"{{{{ {Names(self.columns).written(name)} }}}}"'
            what = f"{name!r} would be everybody's name; to show the column, write {write}"
            yield self._campaign.problem("recipients.name", what)
        wanted = [("recipients.email", self.settings.email)] if self._has_column else []
        key = (column for column in self.settings.key if column != self.settings.email)
        wanted += [("recipients.key", column) for column in key]
        for path, column in wanted:
            if column not in self.columns:
                what = missing(self._header, column, is_email=path == "recipients.email")
                what += self.table.advice(self.columns)
                yield self._campaign.problem(path, f"{what} ({self.file})")

    def _repeated(self) -> Iterator[Problem]:
        """Yield an error for each duplicate column name that the list's own settings use."""
        users = {
            "`recipients.email`": self.email_columns,
            "`recipients.key`": frozenset(self.settings.key) - {self.settings.email},
            "`recipients.name`": self.name_columns,
            "`recipients.where`": self._templates.where_columns,
        }
        for user, columns in users.items():
            yield from repeated(self._header, columns, user, self.file)

    def _ambiguous(self) -> Iterator[Problem]:
        for name in self._campaign.vars:
            if name in self.columns:
                yield self._campaign.problem(
                    f"vars.{name}", f"the list has a column {name!r} too; give one of them another name"
                )


def readable_columns(campaign: CampaignFile) -> tuple[str, ...]:
    """Return the columns of a campaign's list, or none if it cannot be read."""
    settings = campaign.recipients
    try:
        return read_header(_table(campaign), shown(settings.csv), settings.email).columns
    except UserError:
        return ()


def _without_name(campaign: CampaignFile) -> CampaignFile:
    settings = campaign.recipients.model_copy(update={"name": None})
    return campaign.model_copy(update={"recipients": settings})


def _table(campaign: CampaignFile) -> Table:
    if not is_workbook(campaign.recipients.csv):
        return CsvFile(campaign)
    from campaign.recipients.excel.workbook import Workbook

    return Workbook(campaign)
