"""Two ways of doing one thing, timed in turns in one run: on a noisy machine only ratios mean anything."""

from __future__ import annotations

import time
from collections.abc import Callable


def paired(ours: Callable[[], object], peer: Callable[[], object], rounds: int = 5) -> tuple[float, float]:
    """Run both in turns and return the best time of each, in seconds."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for kept, run in zip(times, (ours, peer), strict=True):
            began = time.perf_counter()
            run()
            kept.append(time.perf_counter() - began)
    return min(times[0]), min(times[1])


def report(what: str, ours: float, peer: float, wanted: float, workload: str) -> float:
    """Print how many times faster ours is than its peer, and return that."""
    ratio = peer / ours
    print(
        f"\n{what}: {ratio:.2f} times its peer, wanted {wanted}"
        f" ({ours:.3f} s against {peer:.3f} s; {workload})"
    )
    return ratio
