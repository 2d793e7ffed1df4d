"""How often somebody who watches workers looks again."""

from __future__ import annotations

import pytest

from campaign.cli.watching import until_next


@pytest.mark.parametrize(
    ("gone", "left", "seconds", "before", "pause"),
    [
        (100, 10_000, 2.0, 2.0, 2.0),  # a long way to go
        (100, 50, 2.0, 2.0, 1.0),  # the end is near
        (100, 1, 2.0, 1.0, 0.25),
        (100, 0, 2.0, 1.0, 0.25),
        (0, 1, 0.25, 0.25, 0.5),  # the last is slow, or put off for an hour
        (0, 1, 2.0, 2.0, 2.0),
        (-500, 500, 0.1, 2.0, 2.0),  # the first look
    ],
)
def test_the_end_is_seen_soon(gone: int, left: int, seconds: float, before: float, pause: float) -> None:
    assert until_next(gone, left, seconds, before) == pause
