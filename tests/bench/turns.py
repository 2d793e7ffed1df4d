"""Several ways to do one thing, in turns: A B C A B C. What each has done is counted, and must agree.

On a machine that others use too, only what was measured in one run can be compared, and medians of
turns more than any one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench.measure import Took


class WrongCount(AssertionError):
    """One did not do what it was timed for."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to do it. `run` does it once; `done` says how many were done, and not by its own account.

    `count` is how many it is to do in a run: figures are for each of them.
    """

    name: str
    count: int
    run: Callable[[], Took]
    done: Callable[[Took], int]


@dataclass(frozen=True, slots=True)
class Figures:
    """The medians of one contender: seconds for each that it did, and octets of memory."""

    name: str
    count: int
    wall: float
    processor: float
    peak: int
    rounds: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came out of turns. The first contender is ours, and `wanted` what its ratios should be.

    `notes` tell more of what was measured.
    """

    workload: str
    figures: tuple[Figures, ...]
    wanted: str = ""
    notes: tuple[str, ...] = ()

    def wall_ratio(self, peer: Figures) -> float:
        """How many times our time a peer takes."""
        return peer.wall / self.figures[0].wall

    def processor_ratio(self, peer: Figures) -> float:
        """How many times our processor time a peer takes."""
        return peer.processor / max(self.figures[0].processor, 1e-9)


def in_turns(
    workload: str, contenders: Sequence[Contender], rounds: int, *, warm: bool = False, wanted: str = ""
) -> Comparison:
    """Run all in turns, so many rounds; with `warm` one more before them, which is not counted.

    Raises WrongCount where one has done more or fewer than it should.
    """
    took: dict[str, list[Took]] = {one.name: [] for one in contenders}
    for number in range(-1 if warm else 0, rounds):
        for one in contenders:
            result = one.run()
            done = one.done(result)
            if done != one.count:
                raise WrongCount(f"{workload}: {one.name} did {done:,}, and not {one.count:,}")
            if number >= 0:
                took[one.name].append(result)
    return Comparison(workload, tuple(_figures(one, took[one.name]) for one in contenders), wanted)


def _figures(one: Contender, took: list[Took]) -> Figures:
    return Figures(
        one.name,
        one.count,
        median(each.wall for each in took) / one.count,
        median(each.processor for each in took) / one.count,
        max(each.peak for each in took),
        len(took),
    )
