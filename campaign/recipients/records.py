"""Split the lines of a CSV file into records, and choose the delimiter.

A record that cannot be read never hides the next one, even if its quotes swallow it, and no line takes more
memory than MAX_LINE characters.
"""

from __future__ import annotations

import csv
import functools
import io
import re
from collections.abc import Iterator

MAX_LINE = 1 << 20  # characters
SAMPLE = 64 * 1024  # characters from which the delimiter is chosen
_DELIMITERS = ",;\t|"
_MAY_SEPARATE = ",;\t|:^~!#&"
_SEP = re.compile('"?sep=([,;\t|])"?[ \t]*(?:\r?\n|$)', re.IGNORECASE)
# The beginnings of files that are not lists, whatever their names: web applications export HTML as .xls.
_OTHERS = (
    (re.compile(r"\s*<(?:!doctype|html|head|meta|style|table)\b", re.IGNORECASE), "a web page (HTML)"),
    (re.compile(r"\s*<\?xml\b"), "an XML file"),
    (re.compile("%PDF-"), "a PDF"),
    (re.compile(r"\s*BEGIN:VCARD", re.IGNORECASE), "a file of contacts (vCard)"),
    (re.compile(r"\s*\[?\s*\{\s*\"[^\"]*\"\s*:"), "a JSON file"),
)
_TITLE_LINES = 10  # the first lines, in which the header is looked for
CUT_LINE = "\udcfe\n"
"""Replaces a line that is too long: a lone surrogate, which no decoded text contains."""

_CTRL_Z = "\x1a"
TOO_LONG = f"the line has more than {MAX_LINE:,} characters"


def line_end(sample: str) -> str:
    """Return the line end of a file that begins with `sample`: a line feed, or (old Macs) CR."""
    return "\r" if "\r" in sample and "\n" not in sample else "\n"


class Lines:
    """A file's lines, split at `end`; a line of more than MAX_LINE characters becomes CUT_LINE.

    `line` counts the lines that were read; `taken` are those of the current record. The last of
    them can be given back, to be read again. A Ctrl-Z that ends the file (DOS) is dropped.
    """

    def __init__(self, file: io.TextIOWrapper, end: str = "\n") -> None:
        self.line = 0
        self.end = end
        self.taken: list[str] = []
        self._back: list[str] = []
        self._read = functools.partial(file.readline, MAX_LINE)

    def __iter__(self) -> Iterator[str]:
        while line := self._back.pop() if self._back else self._read():
            if len(line) == MAX_LINE and line[-1] != self.end:
                line = CUT_LINE
                while (rest := self._read()) and rest[-1] != self.end:
                    pass
            if line[-1] == _CTRL_Z and not (line := line.rstrip(_CTRL_Z)):
                return
            self.line += 1
            self.taken.append(line)
            yield line

    def give_back(self, lines: list[str]) -> None:
        """Take back the last lines; they are read again next."""
        self.line -= len(lines)
        self._back.extend(reversed(lines))


def records(
    lines: Lines, delimiter: str, count: int = 0, *, spaced: bool = False
) -> Iterator[tuple[int, list[str] | str]]:
    """Yield (first line, cells) for each record; for one that cannot be read, (first line, what is wrong).

    Blank records are left out. If a record of several lines cannot be read, or does not have `count` cells,
    only its first line is consumed, and reading continues at the second: a stray quote may have swallowed
    the rows below it. `spaced`: a blank at the beginning of a cell is not part of it.
    """
    reader = csv.reader(iter(lines), delimiter=delimiter, strict=True, skipinitialspace=spaced)
    taken = lines.taken
    while True:
        taken.clear()
        start = lines.line + 1
        trouble = ""
        record: list[str] | None = []
        try:
            record = next(reader, None)
        except csv.Error as error:
            trouble = _trouble(str(error), lines.end, len(taken) > 1)
        if record is None:
            return
        if taken[0] == CUT_LINE:
            trouble = TOO_LONG
        if trouble or (len(taken) > 1 and count and len(record) != count):
            lines.give_back(taken[1:])
            reader = csv.reader(iter(lines), delimiter=delimiter, strict=True, skipinitialspace=spaced)
        if trouble or any(map(str.strip, record)):
            yield start, trouble or record


def _trouble(error: str, end: str, several_lines: bool) -> str:
    if "expected after" in error and several_lines:
        return "a quote opens here and is not closed, or a quote within its cell is not written twice"
    if "expected after" in error:
        return "a quote ends in the middle of a cell; put the cell in quotes, and each quote within it twice"
    if "unexpected end of data" in error:
        return "a quote opens here and is never closed"
    if "field larger" in error:
        return f"a cell has more than {csv.field_size_limit():,} characters; is a quote not closed?"
    if "new-line" in error:
        other = "carriage return" if end == "\n" else "line feed"
        return f"a cell contains a lone {other}; save the list with one kind of line ends"
    return error


def _lenient(lines: list[str], delimiter: str) -> Iterator[list[str]]:
    """Yield the records of a sample, up to the first one that cannot be read."""
    try:
        yield from csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    except csv.Error:
        return


def named_delimiter(sample: str) -> str:
    """Return the delimiter from a first line such as `sep=;`, which spreadsheets write, or ""."""
    found = _SEP.match(sample)
    return found[1] if found else ""


def other_kind(sample: str) -> str:
    """Return the kind of a file that begins with `sample` if it is not a list, or ""."""
    return next((kind for beginning, kind in _OTHERS if beginning.match(sample)), "")


def is_spaced(sample: str, delimiter: str) -> bool:
    """Whether quotes follow blanks, as in `a, "b"`, which some programs write."""
    behind = re.compile(f'(?:^|{re.escape(delimiter)}) +"', re.MULTILINE)
    return delimiter != " " and behind.search(sample) is not None


def header_below(sample: str, column: str) -> int | None:
    """Return the line that looks like the header, by this column; a title may stand above it."""
    for number, line in enumerate(sample.split("\n")[:_TITLE_LINES], 1):
        for delimiter in _DELIMITERS:
            names = [cell.strip().casefold() for row in _lenient([line], delimiter) for cell in row]
            if column.casefold() in names and "@" not in line:
                return number
    return None


def separator(sample: str, column: str) -> str | None:
    """Return the character next to this column in the first line, or None."""
    first = sample.lstrip("\ufeff").split("\n", 1)[0].rstrip("\r")
    for found in _MAY_SEPARATE:
        if found in first and any(column in map(str.strip, row) for row in _lenient([first], found)):
            return found
    return None


def choose_delimiter(sample: str, column: str) -> str:
    """Return the delimiter of a file that begins with `sample`, at most SAMPLE characters of it.

    It prefers a delimiter that gives the header this column, then one that splits the rows most evenly,
    then one that gives the most columns.
    """
    lines = sample.split("\n")
    # The sample may end in the middle of a row.
    lines = lines[:-1] if len(sample) == SAMPLE and len(lines) > 1 else lines
    best, best_score = ",", (False, 0.0, 1)
    for delimiter in _DELIMITERS:
        rows = [row for row in _lenient(lines[:200], delimiter) if any(map(str.strip, row))]
        if rows and len(rows[0]) > 1:
            even = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
            score = (column in map(str.strip, rows[0]), even, len(rows[0]))
            if score > best_score:
                best, best_score = delimiter, score
    return best
