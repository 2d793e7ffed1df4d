"""What a worker answers is read as plain data, in whatever pieces it comes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.errors import Problem, Severity
from campaign.templating.processes.frames import (
    Frame,
    Garbled,
    Plain,
    Reader,
    encode,
    plain_problem,
    problem_of,
)

_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
_FRAMES = st.lists(st.tuples(_PLAIN, st.lists(st.binary(max_size=50), max_size=4)), max_size=5)


@given(_FRAMES, st.integers(1, 200))
def test_frames_come_whole_whatever_the_pieces(frames: list[tuple[Plain, list[bytes]]], step: int) -> None:
    octets = b"".join(piece for head, blobs in frames for piece in encode(head, blobs))
    reader, read = Reader(), []
    for start in range(0, len(octets), step):
        reader.feed(octets[start : start + step])
        while (frame := reader.next()) is not None:
            read.append(frame)
    assert read == [Frame(head, tuple(blobs)) for head, blobs in frames]
    assert reader.next() is None


@given(st.binary(max_size=200))
def test_any_octets_are_a_frame_or_refused(octets: bytes) -> None:
    reader = Reader()
    reader.feed(octets)
    try:
        while reader.next() is not None:
            pass
    except Garbled:
        pass


@pytest.mark.parametrize(
    "octets",
    [
        b"\xff" * 8,
        struct.pack("!II", 0, 20_000),
        struct.pack("!III", 2, 1, 0xFFFFFFFF) + b"{}",
        struct.pack("!II", 2, 0) + b"{]",
        struct.pack("!II", 100_000, 0) + b"[" * 100_000,
        struct.pack("!II", 1, 0) + b"\xff",
    ],
)
def test_what_is_no_frame(octets: bytes) -> None:
    reader = Reader()
    reader.feed(octets)
    with pytest.raises(Garbled):
        reader.next()


def test_a_problem_stays_what_it_is() -> None:
    problem = Problem("what", "a.html", 3, None, "subject", Severity.WARNING, "rule", same="same")
    assert problem_of(plain_problem(problem)) == problem
    assert problem_of(plain_problem(Problem(""))) == Problem("")


@pytest.mark.parametrize("plain", [None, [], ["a"], [1] * 8, ["m", None, None, None, "", "fatal", "", ""]])
def test_what_is_no_problem(plain: Plain) -> None:
    with pytest.raises(Garbled):
        problem_of(plain)
