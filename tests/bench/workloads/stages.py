"""What each part of a message costs, done alone, beside the bare thing that it cannot do without."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.bench.measure import Took, run
from tests.bench.place import PYTHON, Place
from tests.bench.turns import Comparison, Contender, in_turns

# Part, what it is called, what stands beside it, and what that is called.
_RENDERING = (
    ("bodies", "text and HTML, as a process renders"),
    ("jinja", "Jinja2's sandbox alone"),
    ("render", "whole messages, as check does"),
    ("render-on-two", "with two processes for templates"),
    ("render-singly", "one by one, as send does"),
)
_PAIRS = (
    ("list", "read and validate the list", "csv", "the csv module alone"),
    ("assemble", "header and MIME of rendered bodies", "email-message", "EmailMessage"),
    ("sign", "DKIM signature", "key", "the bare key's"),
    ("record", "ledger: intend, settle, commit", "sqlite", "bare SQLite, the same statements"),
    ("session", "session: TLS, SMTP, server", "smtplib", "smtplib, the same messages"),
)


def stages(place: Place) -> Iterator[Comparison]:
    """Rendering first, with and without a style block; then the other parts of a send."""
    count, rounds = 200 if place.quick else 2000, place.rounds
    for style, wanted in ((False, "ours <= 2.0 times Jinja2's: its ratio >= x0.50"), (True, "")):
        folder = place.newsletter(count, style=style)
        words = f"rendering, {'with' if style else 'without'} a style block"
        rendering = [part(place, folder, count, *one) for one in _RENDERING]
        yield in_turns(words, rendering, rounds, wanted=wanted)
    for ours, name, other, peer_name in _PAIRS:
        pair = [part(place, folder, count, ours, name), part(place, folder, count, other, peer_name)]
        yield in_turns(f"part of a send: {name}", pair, rounds)
    yield in_turns("part of a send: enrol", [part(place, folder, count, "enrol", "enrol a list")], rounds)


def part(place: Place, folder: Path, count: int, what: str, name: str) -> Contender:
    """Return what does a part of `alone` on a folder's list."""
    command = [*PYTHON, "-m", "tests.bench.alone", what, str(folder), str(place.server.port)]

    def alone() -> Took:
        place.server.arrived()
        took = run(command, folder, env=place.env)
        _, wall, processor = map(float, took.output.split())
        return replace(took, wall=wall, processor=processor)

    def done(took: Took) -> int:
        return place.server.arrived() if what in ("session", "smtplib") else int(took.output.split()[0])

    return Contender(name, count, alone, done)
