"""Drafts that were made when the list was looked at, kept for the messages that leave soon after.

    kept.add(row, since, frame)     for each row, as the list is looked at, while it `has_room`
    kept.has(number, after)         whether one was kept of the row with this number, and not too long ago
    kept.of(row)                    what was kept of the row, or None where it must be drafted anew

They lie in a file that has no name, which vanishes with this process, however that ends. It takes no more
than a quarter of what is free on the disk, for the ledger may grow on it too; and little is in memory. A
draft is given out for the very row of which it was made, and no other.
"""

from __future__ import annotations

import marshal
import shutil
import tempfile
from array import array
from bisect import bisect_left
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

from campaign.templating.processes.frames import Frame
from campaign.templating.processes.work import Row

_OCTETS = 1 << 28  # of the file
_ROWS = 1 << 16
_BUFFER = 1 << 18
_NUMBER = 4  # where a row's number stands in it; see `drafting`
# Memory is no place for them, and /tmp may be memory.
_FOLDER = "/var/tmp"  # noqa: S108


class Kept:
    """See the module. What cannot be written is not kept. For one thread at a time."""

    def __init__(self, most: int = _OCTETS) -> None:
        self._most = most
        self._numbers, self._ends, self._since = array("q"), array("q"), array("q")
        self._file: BinaryIO | None = None
        with suppress(OSError):
            folder = _FOLDER if Path(_FOLDER).is_dir() else tempfile.gettempdir()
            self._most = min(most, shutil.disk_usage(folder).free // 4)
            file = tempfile.TemporaryFile(buffering=_BUFFER, dir=folder)  # noqa: SIM115
            self._file = cast(BinaryIO, file)
        self.has_room = self._file is not None
        """Whether more can be kept."""

    def add(self, row: Row, since: int, frame: Frame) -> None:
        """Keep what was drafted of a row, and was asked for at `since`, steady ns; rows come in order."""
        number, begin = _number(row), self._ends[-1] if self._ends else 0
        if self._file is None or not self.has_room or (self._numbers and number <= self._numbers[-1]):
            return
        octets = marshal.dumps((row, frame.head, frame.blobs))  # type: ignore[arg-type]  # all of it is plain
        if len(self._numbers) >= _ROWS or begin + len(octets) > self._most:
            self.has_room = False
            return
        try:
            self._file.write(octets)
        except OSError:  # no room on the disk: what was kept before may not be there whole
            self.close()
            return
        self._numbers.append(number)
        self._ends.append(begin + len(octets))
        self._since.append(since)

    def has(self, number: int, after: int) -> bool:
        """Whether something was kept of the row with this number, and asked for after then."""
        place = bisect_left(self._numbers, number)
        return place < len(self._numbers) and self._numbers[place] == number and self._since[place] >= after

    def of(self, row: Row) -> Frame | None:
        """Return what was kept of this very row."""
        place = bisect_left(self._numbers, number := _number(row))
        if self._file is None or place == len(self._numbers) or self._numbers[place] != number:
            return None
        begin, end = self._ends[place - 1] if place else 0, self._ends[place]
        try:
            self._file.seek(begin)
            octets = self._file.read(end - begin)
        except OSError:
            self.close()
            return None
        made_of, head, blobs = marshal.loads(octets)  # noqa: S302  (we alone have written it)
        return Frame(head, blobs) if made_of == row else None

    def close(self) -> None:
        """Keep nothing any more."""
        self.has_room = False
        del self._numbers[:], self._ends[:], self._since[:]
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                file.close()


def _number(row: Row) -> int:
    number = row[_NUMBER]
    assert isinstance(number, int)  # noqa: S101
    return number
