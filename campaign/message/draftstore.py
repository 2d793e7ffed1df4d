"""Keeps the drafts that were made when the list was checked, for messages that are sent soon after.

    kept.add(row, since, frame)     for each row, while the list is checked and it `has_room`
    kept.has(number, after)         whether a draft of the row with this number was kept recently enough
    kept.of(row)                    the kept draft, or None if it must be drafted again

The drafts are in a file without a name, which disappears when this process ends in any way. It takes at
most a quarter of the free disk space, because the ledger may need some too; little is in memory. A draft is
returned only for a row that is the same in every value.
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
_NUMBER = 4  # index of the row number in a row; see `drafting`
# Not /tmp, which may be in memory.
_FOLDER = "/var/tmp"  # noqa: S108


class DraftStore:
    """DraftStore drafts. If one cannot be written, it is not kept. For one thread at a time."""

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
        """Keep the draft of a row that was asked for at `since`, steady ns. Rows must come in order."""
        number, begin = _number(row), self._ends[-1] if self._ends else 0
        if self._file is None or not self.has_room or (self._numbers and number <= self._numbers[-1]):
            return
        octets = marshal.dumps((row, frame.head, frame.blobs))  # type: ignore[arg-type]  # plain data
        if len(self._numbers) >= _ROWS or begin + len(octets) > self._most:
            self.has_room = False
            return
        try:
            self._file.write(octets)
        except OSError:  # the disk is full: earlier drafts may be incomplete too
            self.close()
            return
        self._numbers.append(number)
        self._ends.append(begin + len(octets))
        self._since.append(since)

    def has(self, number: int, after: int) -> bool:
        """Whether a draft of the row with this number was kept, and asked for after `after`."""
        place = bisect_left(self._numbers, number)
        return place < len(self._numbers) and self._numbers[place] == number and self._since[place] >= after

    def of(self, row: Row) -> Frame | None:
        """Return the kept draft of a row with exactly these values, or None."""
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
        kept_row, head, blobs = marshal.loads(octets)  # noqa: S302  (only this process wrote it)
        return Frame(head, blobs) if kept_row == row else None

    def close(self) -> None:
        """Delete the drafts, and keep no more."""
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
