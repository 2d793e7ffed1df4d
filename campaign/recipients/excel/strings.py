"""Look up the shared texts of a workbook's cells (ECMA-376-1 18.4) by number, without all in memory."""

from __future__ import annotations

import re
import tempfile
from array import array
from collections.abc import Iterator
from typing import IO
from xml.parsers import expat

from campaign.recipients.excel.parts import Parts, Unreadable, local
from campaign.recipients.records import MAX_LINE

_IN_MEMORY = 16_000_000  # octets of texts; more go to a temporary file
_MOST = 10_000_000  # texts; the end of each is in memory
# ECMA-376-1 22.9.2.19: a character that XML cannot contain, such as a carriage return, is written _x000D_.
_ESCAPE = re.compile("_x([0-9A-Fa-f]{4})_")


def unescaped(text: str) -> str:
    """Return a text with its escapes decoded."""
    return _ESCAPE.sub(_character, text) if "_x" in text else text


def _character(found: re.Match[str]) -> str:
    code = int(found[1], 16)
    return found[0] if 0xD800 <= code < 0xE000 else chr(code)


class Strings:
    """The shared texts of a workbook, read only as far as needed. Close it after use.

    A text that is longer than a row may be is cut.
    """

    def __init__(self, parts: Parts, name: str | None) -> None:
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
        self._ends = array("Q", [0])
        self._text: list[str] = []
        self._length = 0
        self._collecting = False
        self._phonetic = 0
        self._feeding = self._feed(parts, name) if name is not None else iter(())

    def __getitem__(self, number: int) -> str:
        """Return a text. Raises Unreadable if there is none with that number."""
        while number >= len(self._ends) - 1:
            if next(self._feeding, None) is None:
                raise Unreadable(f"a cell shows text number {number}, and there are {len(self._ends) - 1}")
        if number < 0:
            raise Unreadable(f"a cell shows text number {number}")
        self._file.seek(self._ends[number])
        return self._file.read(self._ends[number + 1] - self._ends[number]).decode()

    def close(self) -> None:
        """Remove the temporary file."""
        self._feeding = iter(())
        self._file.close()

    def _feed(self, parts: Parts, name: str) -> Iterator[int]:
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        yield from parts.feed(name, parser)
        yield 0  # the last piece's texts are there too

    def _start(self, element: str, _: dict[str, str]) -> None:
        match local(element):
            case "rPh":  # the pronunciation of the text, in Japanese
                self._phonetic += 1
            case "t":
                self._collecting = not self._phonetic

    def _end(self, element: str) -> None:
        match local(element):
            case "t":
                self._collecting = False
            case "rPh":
                self._phonetic -= 1
            case "si":
                self._file.seek(self._ends[-1])
                octets = unescaped("".join(self._text)).encode()
                self._file.write(octets)
                self._ends.append(self._ends[-1] + len(octets))
                self._text.clear()
                self._length = 0
                if len(self._ends) > _MOST:
                    raise Unreadable(f"its cells share more than {_MOST:,} texts")

    def _characters(self, text: str) -> None:
        if self._collecting and self._length <= MAX_LINE:
            self._text.append(text)
            self._length += len(text)
