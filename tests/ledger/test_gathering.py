"""How long a commit is put off for others to share it."""

from __future__ import annotations

import pytest

from campaign.ledger.postgres.gathering import Gathering
from campaign.model import SECOND


def learnt(took: int) -> Gathering:
    """Return one that has seen many commits that took so many ns."""
    gathering = Gathering()
    for _ in range(50):
        gathering.committed(took)
    return gathering


@pytest.mark.parametrize(("took", "most"), [(0, 0), (SECOND // 1000, 0.001), (SECOND, 0.005)])
def test_nobody_is_waited_for_longer_than_a_commit_takes(took: int, most: float) -> None:
    assert learnt(took).wait() == pytest.approx(most, rel=0.01)


def test_where_nobody_comes_it_is_hardly_waited_and_tried_again_after_a_while() -> None:
    gathering = learnt(SECOND // 100)
    waits = [gathering.wait()]
    while waits[-1]:
        gathering.waited(came=False)
        waits.append(gathering.wait())
    assert waits == sorted(waits, reverse=True)
    assert sum(waits) < 0.02
    waits = [gathering.wait() for _ in range(30)]
    assert any(waits)


def test_who_comes_every_other_time_is_waited_for() -> None:
    gathering = learnt(SECOND // 100)
    for number in range(100):
        assert gathering.wait() >= 0.003
        gathering.waited(came=number % 2 == 1)


def test_it_can_be_switched_off() -> None:
    gathering = learnt(SECOND // 100)
    gathering.worthwhile = False
    assert not any(gathering.wait() for _ in range(100))
