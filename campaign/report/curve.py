"""Draw accepted messages over time as a line with axes, in a box of 1000 by 1000 units. Pure.

The page stretches the box, so labels are outside it, with their places in per cent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from campaign.model import SECOND

_DAY = 86_400
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200)
_DAYS = (1, 2, 4, 7, 14, 30, 60, 120, 365)
_BOX = 1000
_MOST_TICKS = 4
POINTS = 200
"""The most points that are drawn. With fewer messages, each is a point, and the line goes in steps."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis; `at` is in per cent of the axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Curve:
    """`line` and `area` are SVG paths; `across` is time, `up` messages."""

    line: str
    area: str
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]


def curve(points: Sequence[tuple[int, int]], first: int) -> Curve | None:
    """Return the curve of (UTC ns, accepted until then), which begins with 0 at `first`.

    None if there is no development to show: fewer than two messages, or all at the same time.
    """
    if not points or points[-1][1] < 2 or points[-1][0] <= first:
        return None
    end, total = points[-1]
    span = end - first
    x, y = 0.0, float(_BOX)
    path = [f"M0 {_BOX}"]
    for time, count in points:
        across, up = _BOX * (time - first) / span, _BOX * (1 - count / total)
        path.append(f"H{across:.1f}V{up:.1f}" if total <= POINTS else f"L{across:.1f} {up:.1f}")
        x, y = across, up
    line = "".join(path)
    area = f"{line}L{x:.1f} {y:.1f}V{_BOX}Z"
    across_ticks = tuple(
        Tick(100 * (time - first) / span, label) for time, label in _times(first, end) if first <= time <= end
    ) or tuple(Tick(at, _second(time)) for at, time in ((0, first), (100, end)))
    return Curve(line, area, across_ticks, tuple(_counts(total)))


def _counts(total: int) -> Iterator[Tick]:
    """Yield round numbers up to `total`."""
    step = next(
        digit * 10**power
        for power in range(18)
        for digit in (1, 2, 5)
        if total <= _MOST_TICKS * digit * 10**power
    )
    for count in range(0, total + 1, step):
        yield Tick(100 * count / total, f"{count:,}")


def _times(first: int, end: int) -> Iterator[tuple[int, str]]:
    """Yield (UTC ns, label) of round times in the local time zone."""
    seconds = (end - first) / SECOND
    step = next((step for step in _STEPS if seconds / step <= _MOST_TICKS), None)
    start = datetime.fromtimestamp(first / SECOND, UTC).astimezone()
    if step is None:
        yield from _dates(start, seconds)
        return
    offset = start.utcoffset() or timedelta()
    shift = int(offset.total_seconds())
    time = -(-(first // SECOND + shift) // step) * step - shift
    while time * SECOND <= end:
        local = datetime.fromtimestamp(time, UTC).astimezone()
        if step >= 60 and (local.hour, local.minute) == (0, 0):
            label = _day(local.date())
        else:
            label = local.strftime("%H:%M" if step >= 60 else "%H:%M:%S")
        yield time * SECOND, label
        time += step


def _second(time: int) -> str:
    """Return a time between two seconds: `14:03:07.25`."""
    return datetime.fromtimestamp(time / SECOND, UTC).astimezone().strftime("%H:%M:%S.%f")[:-4]


def _dates(start: datetime, seconds: float) -> Iterator[tuple[int, str]]:
    days = next((days for days in _DAYS if seconds / _DAY / days <= _MOST_TICKS), _DAYS[-1])
    day = start.date() + timedelta(days=1)
    while (midnight := datetime(day.year, day.month, day.day).astimezone().timestamp()) <= (
        start.timestamp() + seconds
    ):
        yield int(midnight) * SECOND, _day(day)
        day += timedelta(days=days)


def _day(day: date) -> str:
    return f"{day.day} {day.strftime('%b')}"
