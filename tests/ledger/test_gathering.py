"""How long a commit is delayed so that other threads can share it."""

from __future__ import annotations

import pytest

from campaign.ledger.postgres.gathering import Gathering
from campaign.model import SECOND


def learnt(took: int) -> Gathering:
    """Return a `Gathering` after many commits that took this many ns each."""
    gathering = Gathering()
    for _ in range(50):
        gathering.committed(took)
    return gathering


@pytest.mark.parametrize(("took", "most"), [(0, 0), (SECOND // 1000, 0.001), (SECOND, 0.005)])
def test_the_wait_is_never_longer_than_a_commit_takes(took: int, most: float) -> None:
    assert learnt(took).wait() == pytest.approx(most, rel=0.01)


def test_waits_get_short_if_nobody_comes_and_are_tried_again_later() -> None:
    gathering = learnt(SECOND // 100)
    waits = [gathering.wait()]
    while waits[-1]:
        gathering.waited(came=False)
        waits.append(gathering.wait())
    assert waits == sorted(waits, reverse=True)
    assert sum(waits) < 0.02
    waits = [gathering.wait() for _ in range(30)]
    assert any(waits)


def test_waits_go_on_if_every_other_one_succeeds() -> None:
    gathering = learnt(SECOND // 100)
    for number in range(100):
        assert gathering.wait() >= 0.003
        gathering.waited(came=number % 2 == 1)


def test_waiting_can_be_switched_off() -> None:
    gathering = learnt(SECOND // 100)
    gathering.worthwhile = False
    assert not any(gathering.wait() for _ in range(100))
