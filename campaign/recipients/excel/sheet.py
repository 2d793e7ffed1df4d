"""Parse the XML of a sheet into rows, each cell as the text that the sheet shows (ECMA-376-1 18.3.1).

A formula has the value that was saved with it; an error such as #N/A is text. The text of merged cells is
in the first one. Hidden rows are read like others, and marked.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from xml.parsers import expat

from campaign.recipients.cellformat import moment_shown, shown, text_shown
from campaign.recipients.excel.parts import Parts, Unreadable, local
from campaign.recipients.excel.strings import Strings, unescaped
from campaign.recipients.records import MAX_LINE

_MOST_COLUMNS = 16_384  # XFD
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[Ee][+-]?[0-9]+)?")
_CELL = re.compile("([A-Z]{1,3})[0-9]*")


@dataclass(slots=True)
class _Cell:
    column: int
    kind: str
    style: str
    value: str | None = None
    has_formula: bool = False


@dataclass(slots=True)
class _Row:
    line: int
    is_hidden: bool = False
    cells: list[_Cell] = field(default_factory=list)
    length: int = 0


class _Reader:
    """The handlers of the XML parser; `rows` are the complete rows so far."""

    def __init__(self) -> None:
        self.rows: list[_Row] = []
        self._row = _Row(0)
        self._last = -1  # column of its last cell
        self._cell: _Cell | None = None
        self._collecting = False
        self._phonetic = 0
        self._columns: dict[str, int] = {}
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters

    def _start(self, element: str, attributes: dict[str, str]) -> None:
        name = local(element)
        cell = self._cell
        if name == "c":
            place = attributes.get("r")
            column = self._column(place) if place else self._last + 1
            if not self._last < column < _MOST_COLUMNS:
                raise Unreadable(f"the cells of its row {self._row.line} are not in order")
            self._last = column
            self._cell = _Cell(column, attributes.get("t", "n"), attributes.get("s", "0"))
        elif name == "row":
            line = attributes.get("r", str(self._row.line + 1))
            if not (line.isdecimal() and len(line) < 10 and int(line) > self._row.line):
                raise Unreadable(f"a row after row {self._row.line} has the number {line[:20]!r}")
            hidden = attributes.get("hidden") in ("1", "true")
            self._row, self._last = _Row(int(line), hidden), -1
        elif cell is None:
            return
        elif name == "v" or (name == "t" and not self._phonetic):
            cell.value = cell.value or ""
            self._collecting = True
        elif name == "f":
            cell.has_formula = True
        elif name == "rPh":
            self._phonetic += 1

    def _end(self, element: str) -> None:
        name = local(element)
        if name in ("v", "t"):
            self._collecting = False
        elif name == "rPh":
            self._phonetic -= 1
        elif name == "c" and self._cell is not None:
            if self._cell.value is not None or self._cell.has_formula:
                self._row.cells.append(self._cell)
            self._cell = None
        elif name == "row":
            self.rows.append(self._row)

    def _characters(self, text: str) -> None:
        if self._collecting and self._cell is not None and self._row.length <= MAX_LINE:
            self._cell.value = (self._cell.value or "") + text
            self._row.length += len(text)

    def _column(self, place: str) -> int:
        """Return the column, from 0, of a place such as AB12."""
        found = _CELL.fullmatch(place)
        if found is None:
            raise Unreadable(f"it has a cell at {place[:20]!r}, which is not a place in a sheet")
        letters = found[1]
        column = self._columns.get(letters)
        if column is None:
            column = 0
            for letter in letters:
                column = 26 * column + ord(letter) - 64
            self._columns[letters] = column
        return column - 1


def letters_of(column: int) -> str:
    """Return the letters of a column, which counts from 0."""
    letters = ""
    column += 1
    while column:
        column, letter = divmod(column - 1, 26)
        letters = chr(65 + letter) + letters
    return letters


class Sheet:
    """One sheet of a workbook. `read`: octets of its XML that have been read.

    `is_hidden`: the row that was yielded last is hidden, by hand, by a filter or in a closed group.
    """

    def __init__(self, parts: Parts, name: str, strings: Strings, formats: Sequence[str], since_1904: bool):
        self._parts = parts
        self._name = name
        self._strings = strings
        self._formats = formats
        self._since_1904 = since_1904
        self.read = 0
        self.is_hidden = False

    @property
    def size(self) -> int:
        """The size of its XML in octets."""
        return self._parts.size(self._name)

    def rows(self) -> Iterator[tuple[int, list[str] | str]]:
        """Yield (row, cells) from the first column on, or (row, what is wrong). Raises Unreadable."""
        reader = _Reader()
        for read in self._parts.feed(self._name, reader.parser):
            self.read = read
            # Their texts are looked up one by one: a piece of the sheet may name a long one often.
            yield from self._shown(reader.rows)
            reader.rows.clear()
        yield from self._shown(reader.rows)

    def _shown(self, rows: Sequence[_Row]) -> Iterator[tuple[int, list[str] | str]]:
        for row in rows:
            self.is_hidden = row.is_hidden
            yield row.line, self._texts(row)

    def _texts(self, row: _Row) -> list[str] | str:
        texts = [""] * (row.cells[-1].column + 1 if row.cells else 0)
        length = row.length
        for cell in row.cells:
            # A formula may give no characters, but no number is none: nobody has computed it.
            if cell.value is None or (cell.has_formula and not cell.value and cell.kind != "str"):
                where = f"{letters_of(cell.column)}{row.line}"
                return f"the formula in {where} has no value; save the workbook with a spreadsheet program"
            text = texts[cell.column] = self._text(cell, cell.value)
            length += len(text)
            if length > 2 * MAX_LINE:
                return f"the row has more than {MAX_LINE:,} characters"
        return texts

    def _text(self, cell: _Cell, value: str) -> str:
        match cell.kind:
            case "s" if not value.strip():  # some programs write an emptied text like this
                return ""
            case "s":
                if not (value.strip().isdecimal() and len(value) < 20):
                    raise Unreadable(f"a cell shows text number {value[:20]!r}")
                return text_shown(self._strings[int(value)], self._format(cell))
            case "str" | "inlineStr":
                return text_shown(unescaped(value), self._format(cell))
            case "e":
                return unescaped(value)
            case "b":
                return "FALSE" if value.strip() in ("0", "false") else "TRUE"
            case "d":
                return self._moment(cell, value)
            case _:
                return self._number(cell, value.strip())

    def _number(self, cell: _Cell, value: str) -> str:
        if not _NUMBER.fullmatch(value) or not math.isfinite(number := float(value)):
            return value
        return shown(number, self._format(cell), since_1904=self._since_1904)

    def _moment(self, cell: _Cell, value: str) -> str:
        try:
            moment = dt.datetime.fromisoformat(value.strip()).replace(tzinfo=None)
        except ValueError:
            return value
        return moment_shown(moment, self._format(cell))

    def _format(self, cell: _Cell) -> str:
        number = int(cell.style) if cell.style.isdecimal() and len(cell.style) < 10 else 0
        return self._formats[number] if number < len(self._formats) else "General"
