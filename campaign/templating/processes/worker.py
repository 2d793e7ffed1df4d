"""The loop of a worker: opens one task, does one row after another, and ends when the parent closes its end.

    parent → worker: length (4 octets, big-endian) and the pickled task; then lengths and marshalled rows
    worker → parent: a frame for the task, and one for each row: [kind, result] and blobs

Hostile templates run here. Their output is discarded; their errors are reported or end the process.
"""

from __future__ import annotations

import io
import marshal
import os
import pickle
import struct
from collections.abc import Callable
from enum import IntEnum
from traceback import format_exc

from campaign.errors import Overrun, UserError
from campaign.templating.processes import limits
from campaign.templating.processes.frames import Plain, encode, plain_problem
from campaign.templating.processes.page import here
from campaign.templating.processes.work import Made, Row, Task

LENGTH = struct.Struct("!I")
OUT_OF_MEMORY = 71
"""The exit status of a worker without enough memory to report that."""

_AT_ONCE = 100_000  # octets of answers that are collected before they are written


class Kind(IntEnum):
    """The kind of an answer."""

    MADE = 0
    WRONG = 1  # problems, for the person
    OVERRUN = 2  # problems, caused by the template rather than the row
    BUG = 3  # a traceback


def serve(read: io.BufferedReader, write: io.RawIOBase) -> None:
    """Answer requests until the parent closes its end."""
    answers = _Answers(write)
    octets = _next(read)
    if octets is None:
        return
    task: Task = pickle.loads(octets)  # noqa: S301  (from the parent, which is trusted)
    make: Callable[[Row], Made] | None = None

    def opened() -> Made:
        nonlocal make
        made, make = task.open()
        return made

    limits.grant_memory()
    limits.grant_time()
    answers.add(opened)
    answers.flush()
    while make is not None and (octets := _next(read)) is not None:
        limits.grant_memory()
        for row in marshal.loads(octets):  # noqa: S302
            here.begin()
            limits.grant_time()
            answers.add(make, row)
        answers.flush()


def _next(read: io.BufferedReader) -> bytes | None:
    """Return the parent's next request, None if it has closed its end."""
    start = read.read(LENGTH.size)
    if len(start) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(start)
    octets = read.read(length)
    return octets if len(octets) == length else None


class _Answers:
    """Collects answers, and writes several at once to the parent."""

    def __init__(self, write: io.RawIOBase) -> None:
        self._write = write
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, make: Callable[..., Made], *row: Row) -> None:
        """Add the result of `make`, or the error that it raises."""
        pieces = _answer(make, *row)
        self._pieces += pieces
        self._size += sum(map(len, pieces))
        if self._size > _AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Write the collected answers."""
        octets = memoryview(b"".join(self._pieces))
        self._pieces.clear()
        self._size = 0
        while octets:
            octets = octets[self._write.write(octets) or 0 :]


def _answer(make: Callable[..., Made], *row: Row) -> list[bytes]:
    try:
        made = make(*row)
        return encode([Kind.MADE, made.head], made.blobs)
    except UserError as error:
        kind = Kind.OVERRUN if isinstance(error, Overrun) else Kind.WRONG
        problems: list[Plain] = [plain_problem(problem) for problem in error.problems]
        return encode([kind, problems])
    except MemoryError:
        os._exit(OUT_OF_MEMORY)  # a message would need more memory
    except BaseException:  # a bug in campaign; the parent reports it
        return encode([Kind.BUG, format_exc()])
