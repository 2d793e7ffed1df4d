"""The list: CSV → an iterator of Recipient and BadRow, one row in memory at a time.

In: the campaign file's `recipients`. The header is read at once and everything wrong with it raised
together; a bad row becomes a BadRow, whatever is wrong with it, and does not hide the next one. Row
N is the Nth data record; problems name the file's line. Blank lines are no rows. Duplicate keys are
not noticed here: that takes the whole list, and memory stays flat.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from campaign.address import AddressError, fold, parse_address
from campaign.campaignfile import CampaignFile
from campaign.errors import Problem, Severity, UserError
from campaign.model import BadRow, Recipient
from campaign.place import shown
from campaign.templating import (
    RESERVED,
    Condition,
    Names,
    Text,
    compile_condition,
    compile_text,
    environment,
    row_context,
)

MAX_COLUMNS = 1000
MAX_LINE = 1 << 20  # octets
_SAMPLE = 64 * 1024  # octets by which the delimiter is chosen
_DELIMITERS = ",;\t|"
_DELIMITER_NAMES = {"\t": "tab"}
_BOMS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


class Recipients:
    """The campaign's list. Iterating reads the file from its start, each time.

    `columns` are the header's cells, `warnings` what is odd about them; `position` of `size` octets
    have been read. Raises UserError with every problem of the header, `where`, `name` and `key`.
    """

    def __init__(self, campaign: CampaignFile) -> None:
        self.settings = campaign.recipients
        self.file = shown(self.settings.csv)
        self._campaign = campaign
        self._encoding = self._codec()
        with _open(self.settings.csv, self._encoding) as file:
            self.size = file.seek(0, 2)
            file.seek(0)
            sample = file.read(_SAMPLE)
        self.delimiter = self.settings.delimiter or self._choose(sample)
        self.position = 0
        self.columns = self._header()
        self.warnings = tuple(self._odd_columns())
        problems = [*self._missing_columns(), *self._ambiguous()]
        names = Names(self.columns, frozenset(campaign.vars))
        env = environment(campaign.folder, html=False, private=campaign.private)
        self._where: Condition | None = None
        self._name = Text(constant="")
        try:
            if self.settings.where is not None:
                place = campaign.problem("recipients.where", "")
                self._where = compile_condition(self.settings.where, env=env, place=place, names=names)
        except UserError as error:
            problems += error.problems
        try:
            if self.settings.name is not None:
                place = campaign.problem("recipients.name", "")
                self._name = compile_text(self.settings.name, env=env, place=place, names=names)
        except UserError as error:
            problems += error.problems
        if problems:
            raise UserError(*problems)

    def __iter__(self) -> Iterator[Recipient | BadRow]:
        number = 0
        with _open(self.settings.csv, self._encoding) as file:
            lines = _Lines(file, self._encoding)
            rows = _records(lines, self.delimiter)
            next(rows)  # the header
            for line, record in rows:
                self.position = lines.position
                if isinstance(record, str):
                    number += 1
                    yield BadRow(number, line, "", (Problem(record, self.file, line),))
                elif any(record) and not "".join(record).isspace():
                    row = self._recipient(number + 1, line, record)
                    number += 1
                    if row is not None:
                        yield row

    def _recipient(self, number: int, line: int, cells: list[str]) -> Recipient | BadRow | None:
        """Return the row's recipient, what is wrong with it, or None where `where` leaves it out."""
        wrong = self._cells(cells)
        row: Mapping[str, str] = {}
        if not wrong:
            row = dict(zip(self.columns, cells, strict=True))
            context = {**self._campaign.vars, **row_context(row)}
            try:
                if self._where is not None and not self._where(context):
                    return None
                email = parse_address(row[self.settings.email])
                name = self._name.render(context).strip()
            except AddressError as error:
                wrong = f"{self.settings.email}: {error}"
            except UserError as error:
                wrong = "; ".join(f"{p.path}: {p.message}" if p.path else str(p) for p in error.problems)
            else:
                key = self._key(row, email)
                if key:
                    return Recipient(number, line, key, email, name, row)
                wrong = f"the key is blank ({', '.join(self.settings.key)})"
        return BadRow(number, line, self._bad_key(row), (Problem(wrong, self.file, line),))

    def _cells(self, cells: list[str]) -> str:
        """Say what is wrong with a record's cells, "" for nothing."""
        count = len(self.columns)
        if len(cells) != count:
            many = "fewer" if len(cells) < count else "more"
            return f"the row has {len(cells)} cells, {many} than the header's {count}" + (
                "; is there a delimiter in a cell without quotes?" if many == "more" else ""
            )
        whole = "".join(cells)
        if "\0" in whole:
            return "the row has a NUL character in it"
        if not whole.isascii() and any("\ud800" <= character <= "\udfff" for character in whole):
            column = next(c for c, v in zip(self.columns, cells, strict=True) if _undecodable(v))
            return (
                f"{column} is not {self.settings.encoding.upper()}; save the list as UTF-8,"
                " or name its encoding with `recipients.encoding`, such as cp1252"
            )
        return ""

    def _key(self, row: Mapping[str, str], email: str) -> str:
        parts = [
            fold(email) if column == self.settings.email else row[column].strip()
            for column in self.settings.key
        ]
        if not all(parts):
            return ""
        return parts[0] if len(parts) == 1 else json.dumps(parts, ensure_ascii=False)

    def _bad_key(self, row: Mapping[str, str]) -> str:
        if not row or self.settings.email in self.settings.key:
            return ""
        return self._key(row, "")

    def _codec(self) -> str:
        try:
            name = codecs.lookup(self.settings.encoding).name
            "a".encode(name)
        except (LookupError, ValueError):
            what = f"there is no encoding {self.settings.encoding!r}; write one such as utf-8 or cp1252"
            raise UserError(self._campaign.problem("recipients.encoding", what)) from None
        return "utf-8-sig" if name == "utf-8" else name

    def _choose(self, sample: bytes) -> str:
        """Return the delimiter that splits the first rows most evenly into most cells."""
        text = sample.decode(self._encoding, "replace")
        lines = text.splitlines(keepends=True)
        # The sample may end in the middle of a row.
        lines = lines[:-1] if len(sample) == _SAMPLE and len(lines) > 1 else lines
        best, best_score = ",", (0.0, 1)
        for delimiter in _DELIMITERS:
            counts = [len(row) for row in _lenient(lines[:200], delimiter) if row]
            if counts and counts[0] > 1:
                score = (sum(count == counts[0] for count in counts) / len(counts), counts[0])
                if score > best_score:
                    best, best_score = delimiter, score
        return best

    def _header(self) -> tuple[str, ...]:
        with _open(self.settings.csv, self._encoding) as file:
            first = next(_records(_Lines(file, self._encoding), self.delimiter), None)
        if first is None:
            raise UserError(Problem("the list is empty; its first row names the columns", self.file))
        line, cells = first
        if isinstance(cells, str):
            raise UserError(Problem(f"the header cannot be read: {cells}", self.file, line))
        columns = tuple(cell.strip() for cell in cells)
        problems = []
        if len(columns) > MAX_COLUMNS:
            problems.append(f"the header has more than {MAX_COLUMNS} columns")
        if any("\0" in column or _undecodable(column) for column in columns):
            problems.append(
                f"the header is not {self.settings.encoding.upper()}; save the list as UTF-8, or name its"
                " encoding with `recipients.encoding`"
            )
        for place, column in enumerate(columns[:MAX_COLUMNS]):
            if not column:
                problems.append(f"column {place + 1} has no name in the header")
            elif column in columns[:place]:
                problems.append(f"two columns are named {column!r}")
        if problems:
            raise UserError(*(Problem(what, self.file, line) for what in problems))
        return columns

    def _missing_columns(self) -> Iterator[Problem]:
        wanted: dict[str, tuple[str, ...]] = {"recipients.email": (self.settings.email,)}
        if self.settings.key != (self.settings.email,):
            wanted["recipients.key"] = self.settings.key
        for path, columns in wanted.items():
            for column in columns:
                if column in self.columns:
                    continue
                near = [c for c in self.columns if c.casefold() == column.casefold()]
                near = near or difflib.get_close_matches(column, self.columns, 1, 0.5)
                hint = f"; did you mean {near[0]!r}?" if near else ""
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


class _Lines:
    """A file's lines as text. What cannot be decoded becomes lone surrogates, which no text has.

    `line` is how many have been given out. Lines can be given back, to be read again.
    """

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self.line = 0
        self.position = 0
        self.taken: list[str] = []  # since `taken` was cleared
        self._back: list[str] = []
        self._file = file
        self._encoding = encoding
        self._plain = not encoding.startswith(("utf-16", "utf-32"))
        self._decoder = codecs.getincrementaldecoder(encoding)(
            "surrogateescape" if self._plain else "replace"
        )
        self._pending = ""

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._back.pop() if self._back else self._read()
        if not line:
            raise StopIteration
        self.line += 1
        self.taken.append(line)
        return line

    def give_back(self, lines: list[str]) -> None:
        self.line -= len(lines)
        self._back.extend(reversed(lines))

    def _read(self) -> str:
        octets = self._file.readline(MAX_LINE)
        self.position += len(octets)
        if len(octets) == MAX_LINE and not octets.endswith(b"\n"):
            raise UserError(Problem(f"line {self.line + 1} of the list has more than {MAX_LINE:,} octets"))
        if self._plain:
            return self._decoder.decode(octets, not octets)
        # A line feed is two or four octets here, and one of them alone is none.
        while "\n" not in self._pending and octets:
            self._pending += self._decoder.decode(octets)
            octets = self._file.readline(MAX_LINE) if "\n" not in self._pending else b""
            self.position += len(octets)
        line, feed, self._pending = self._pending.partition("\n")
        return line + feed


def _records(lines: _Lines, delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """Yield (line on which it starts, cells), or a sentence in the place of the cells."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.taken.clear()
        start = lines.line + 1
        try:
            record = next(reader, None)
        except csv.Error as error:
            # What followed the first line may be rows of their own, which a stray quote has swallowed.
            swallowed = lines.taken[1:]
            lines.give_back(swallowed)
            yield start, _quote_trouble(str(error), bool(swallowed))
            continue
        if record is None:
            return
        yield start, record


def _quote_trouble(error: str, swallowed: bool) -> str:
    if "expected after" in error:
        what = "a quote stands in the middle of a cell"
        return f"{what}; put the cell in quotes, and each quote within it twice"
    if "unexpected end of data" in error or "field larger" in error:
        return (
            "a quote opens here and is never closed" if swallowed or "end" in error else "a cell is too long"
        )
    if "new-line" in error:
        return "a lone carriage return stands in a cell; save the list with the usual line ends"
    return error


def _lenient(lines: list[str], delimiter: str) -> Iterator[list[str]]:
    try:
        yield from csv.reader(lines, delimiter=delimiter)
    except csv.Error:
        return


def _undecodable(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _open(path: Path, encoding: str) -> BinaryIO:
    try:
        file = path.open("rb")
        bom = file.read(2)
        file.seek(0)
    except OSError as error:
        raise UserError(Problem(f"the list cannot be read: {error.strerror}", shown(path))) from None
    if bom in _BOMS and not encoding.startswith("utf-16"):
        file.close()
        what = f"the list is {_BOMS[bom].upper()}; save it as UTF-8, or write `encoding: {_BOMS[bom]}`"
        raise UserError(Problem(what, shown(path)))
    return file
