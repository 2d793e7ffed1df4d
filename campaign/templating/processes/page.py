"""Records what a worker is doing, in memory that the parent can read even after the worker's death.

    in the worker: here.begin(), here.note(place)     in the fork server: Page(shared).read()

Recording a row and its template's place only copies memory, without a system call.
"""

from __future__ import annotations

import json
import struct
from mmap import mmap

from campaign.errors import Problem

SIZE = 4096
_COUNT = struct.Struct("=Q")
_LENGTH = struct.Struct("=H")
_NOTE = _COUNT.size + _LENGTH.size


class Page:
    """The number of rows begun, and the place of the last template rendered."""

    def __init__(self, memory: mmap | bytearray) -> None:
        self.memory = memory
        self._begun = 0

    def begin(self) -> None:
        """Count another row."""
        self._begun += 1
        _COUNT.pack_into(self.memory, 0, self._begun)

    def note(self, place: bytes) -> None:
        """Record which template is rendered now; `place` is from `encoded`."""
        self.memory[_COUNT.size : _NOTE + len(place)] = _LENGTH.pack(len(place)) + place

    def read(self) -> tuple[int, str]:
        """Return the count, and the place for `decoded`."""
        (begun,) = _COUNT.unpack_from(self.memory, 0)
        (length,) = _LENGTH.unpack_from(self.memory, _COUNT.size)
        return begun, bytes(self.memory[_NOTE : _NOTE + length]).decode("utf-8", "replace")


here = Page(bytearray(SIZE))
"""This process's page; a worker's memory is shared with its fork server."""


def encoded(place: Problem) -> bytes:
    """Return a template's place for `note`."""
    file = place.file[-500:] if place.file is not None else None
    return json.dumps([file, place.line, place.column, place.path[:100]]).encode()[: SIZE - _NOTE]


def decoded(place: str) -> Problem:
    """Return the place in the text from `Page.read`; a blank one if none was recorded."""
    try:
        found = json.loads(place)
    except ValueError:
        return Problem("")
    match found:
        case [str() | None as file, int() | None as line, int() | None as column, str() as path]:
            return Problem("", file, line, column, path)
        case _:
            return Problem("")
