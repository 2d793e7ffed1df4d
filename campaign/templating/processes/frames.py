"""Encodes and decodes a worker's answers. A hostile template may have made them, so they are only plain data.

    frame = length of the head (4 octets), number of blobs (4), the blobs' lengths (4 each),
            the head (JSON, UTF-8), the blobs

All numbers are big-endian. Nothing in a frame is ever run or unpickled.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from campaign.errors import Problem, Severity

Plain: TypeAlias = bool | int | float | str | list["Plain"] | dict[str, "Plain"] | None

LARGEST = 1_000_000_000
"""The most octets of a frame; a worker has less memory."""

_START = struct.Struct("!II")
_MOST_BLOBS = 10_000


class Garbled(ValueError):
    """The octets are not a frame, or its content is not as expected."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One answer: a small head, and blobs that are not parsed."""

    head: Plain
    blobs: tuple[bytes, ...] = ()


def encode(head: Plain, blobs: Sequence[bytes] = ()) -> list[bytes]:
    """Return a frame's octets, in pieces."""
    octets = json.dumps(head, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    start = _START.pack(len(octets), len(blobs)) + struct.pack(f"!{len(blobs)}I", *map(len, blobs))
    return [start, octets, *blobs]


class Reader:
    """Takes octets in pieces of any size, and returns frames."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._at = 0

    def feed(self, octets: bytes) -> None:
        """Take received octets."""
        if self._at:
            del self._waiting[: self._at]
            self._at = 0
        self._waiting += octets

    def next(self) -> Frame | None:
        """Return the next frame, or None if it is not complete. Raises Garbled."""
        here, there = self._at + _START.size, len(self._waiting)
        if there < here:
            return None
        of_head, count = _START.unpack_from(self._waiting, self._at)
        if count > _MOST_BLOBS or of_head > LARGEST:
            raise Garbled("no frame begins like this")
        here += 4 * count
        if there < here:
            return None
        lengths = struct.unpack_from(f"!{count}I", self._waiting, here - 4 * count)
        if sum(lengths) + of_head > LARGEST:
            raise Garbled("the frame is too large")
        if there < here + of_head + sum(lengths):
            return None
        view = memoryview(self._waiting)
        head = _parsed(bytes(view[here : here + of_head]))
        here += of_head
        blobs = []
        for length in lengths:
            blobs.append(bytes(view[here : here + length]))
            here += length
        view.release()
        self._at = here
        return Frame(head, tuple(blobs))


def _parsed(octets: bytes) -> Plain:
    try:
        found: Plain = json.loads(octets.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise Garbled(f"the head is no JSON: {error}") from None
    return found


def plain_problem(problem: Problem) -> Plain:
    """Return a problem as plain data."""
    return [
        problem.message, problem.file, problem.line, problem.column, problem.path, problem.severity.value,
        problem.rule, problem.same,
    ]  # fmt: skip


def problem_of(plain: Plain) -> Problem:
    """Return the problem from the data of `plain_problem`. Raises Garbled."""
    match plain:
        case [
            str() as message,
            str() | None as file,
            int() | None as line,
            int() | None as column,
            str() as path,
            str() as severity,
            str() as rule,
            str() as same,
        ] if severity in tuple(Severity):
            return Problem(message, file, line, column, path, Severity(severity), rule, same=same)
        case _:
            raise Garbled("this is no problem")
