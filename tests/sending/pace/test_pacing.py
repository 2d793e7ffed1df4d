"""Rate windows: never more than N in a window, and no start later than that requires."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.campaignfile.rates import parse_window
from campaign.model import SECOND, Window
from campaign.sending.pace.pacing import LocalPace

MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86400 * SECOND

# Short periods that are not multiples of their counts, to find rounding errors.
WINDOWS = st.builds(
    Window, st.integers(1, 12), st.one_of(st.integers(1, 50), st.sampled_from([SECOND, MINUTE]))
)
# Some starts are tried at once, some after a pause or a jump of the clock.
PAUSES = st.one_of(st.just(0), st.integers(0, 60), st.sampled_from([SECOND // 7, SECOND, 59 * SECOND, HOUR]))
MESSAGES = st.lists(st.tuples(PAUSES, st.integers(1, 6)), max_size=60)


def run(pace: LocalPace, messages: list[tuple[int, int]], now: int = 0) -> list[int]:
    """Start each message as soon as permitted; return the start of each address."""
    starts: list[int] = []
    for pause, addresses in messages:
        now += pause
        now += pace.delay(now, addresses)
        assert pace.delay(now, addresses) == 0, "the wait was not enough"
        pace.take(now, addresses)
        starts += [now] * addresses
    return starts


def exceeded(window: Window, starts: list[int]) -> bool:
    """Whether some half-open interval of the window's length holds more than its count."""
    pairs = zip(starts, starts[window.count :], strict=False)
    return any(later - earlier < window.period for earlier, later in pairs)


def fitting(windows: list[Window], messages: list[tuple[int, int]]) -> list[tuple[int, int]]:
    smallest = min((window.count for window in windows), default=99)
    return [(pause, min(addresses, smallest)) for pause, addresses in messages]


@given(windows=st.lists(WINDOWS, max_size=4), messages=MESSAGES, origin=st.integers(0, 10**18))
def test_no_window_ever_holds_more_than_its_count(
    windows: list[Window], messages: list[tuple[int, int]], origin: int
) -> None:
    starts = run(LocalPace(windows), fitting(windows, messages), origin)
    for window in windows:
        assert not exceeded(window, starts), f"{window}: {starts}"


@given(windows=st.lists(WINDOWS, min_size=1, max_size=4), messages=MESSAGES)
def test_no_start_waits_longer_than_a_window_or_the_spacing_requires(
    windows: list[Window], messages: list[tuple[int, int]]
) -> None:
    pace, starts, now = LocalPace(windows), list[int](), 0
    for pause, addresses in fitting(windows, messages):
        now += pause
        delay = pace.delay(now, addresses)
        if delay:
            early = now + delay - 1
            too_many = any(exceeded(window, [*starts, *[early] * addresses]) for window in windows)
            spacing = max((-(-w.period // w.count) for w in windows if w.period <= SECOND), default=0)
            assert too_many or early - starts[-1] < spacing
        now += delay
        pace.take(now, addresses)
        starts += [now] * addresses


@pytest.mark.parametrize("count", [1, 3, 7, 14, 1000])
def test_starts_within_a_second_are_spaced(count: int) -> None:
    spacing = -(-SECOND // count)
    starts = run(LocalPace([Window(count, SECOND)]), [(0, 1)] * 3 * count)
    assert starts == [n * spacing for n in range(3 * count)]


def test_starts_in_longer_windows_are_not_spaced() -> None:
    starts = run(LocalPace([Window(500, DAY)]), [(0, 1)] * 1001)
    assert starts == [0] * 500 + [DAY] * 500 + [2 * DAY]


def test_several_windows_hold_at_the_same_time() -> None:
    starts = run(LocalPace([Window(2, SECOND), Window(5, MINUTE)]), [(0, 1)] * 8)
    half = SECOND // 2
    assert starts == [0, half, 2 * half, 3 * half, 4 * half, MINUTE, MINUTE + half, MINUTE + 2 * half]


def test_the_addresses_of_a_message_start_together() -> None:
    starts = run(LocalPace([Window(5, MINUTE)]), [(0, 3), (0, 3), (0, 2)])
    assert starts == [0] * 3 + [MINUTE] * 5


def test_a_message_with_more_addresses_than_a_window_is_an_error() -> None:
    pace = LocalPace([Window(100, MINUTE), Window(2, SECOND)])
    assert pace.fits(2)
    assert not pace.fits(3)
    with pytest.raises(ValueError, match=r"3 addresses do not fit into the rate 100/minute, 2/second"):
        pace.delay(0, 3)


def test_without_windows_nothing_waits() -> None:
    pace = LocalPace([])
    assert pace.delay(0, 1000) == 0
    assert pace.finish(0, 10**9) == 0
    assert str(pace) == "no limit"


@given(
    windows=st.lists(
        st.builds(Window, st.integers(1, 12), st.sampled_from([SECOND, MINUTE, HOUR, DAY])),
        min_size=1,
        max_size=4,
    ),
    before=st.lists(
        st.tuples(st.sampled_from([0, SECOND // 3, MINUTE // 5, HOUR // 9]), st.integers(1, 6)), max_size=40
    ),
    pause=st.sampled_from([0, SECOND, MINUTE, HOUR]),
)
def test_a_restart_does_not_give_a_second_quota(
    windows: list[Window], before: list[tuple[int, int]], pause: int
) -> None:
    before = fitting(windows, before)
    first = LocalPace(windows)
    starts = run(first, before)
    stopped = (starts[-1] if starts else 0) + pause
    firsts = accumulate((n for _, n in before), initial=0)  # where each message's addresses begin
    ages = [(stopped - starts[first], n) for first, (_, n) in zip(firsts, before, strict=False)]
    restarted = LocalPace(windows)
    now = 17  # another process, another monotonic clock
    restarted.load(ages, now)
    later = run(restarted, [(0, 1)] * 20, now)
    across = starts + [stopped + start - now for start in later]
    for window in windows:
        assert not exceeded(window, across)
    # And nothing is lost: without a restart, it would start no earlier.
    assert run(first, [(0, 1)] * 20, stopped) == across[len(starts) :]


def test_load_accepts_seconds_and_negative_ages() -> None:
    pace = LocalPace([Window(1, SECOND), Window(3, MINUTE)])
    pace.load([(30 * SECOND, 1), (-5 * SECOND, 1)], 1000)
    assert pace.delay(1000) == SECOND
    pace.take(1000 + SECOND)
    assert pace.delay(1000 + 2 * SECOND) == 28 * SECOND


def test_load_accepts_more_starts_than_a_window_holds() -> None:
    """The rate was lowered between two runs, or a message had more addresses than are permitted now."""
    pace = LocalPace([Window(2, HOUR)])
    pace.load([(50 * MINUTE, 9), (10 * MINUTE, 1)], 0)
    assert pace.delay(0) == 10 * MINUTE
    assert pace.delay(0, 2) == 50 * MINUTE


SIMULATED = st.builds(
    Window, st.integers(1, 9), st.one_of(st.integers(1, 40), st.sampled_from([2 * SECOND, MINUTE]))
)


@given(window=SIMULATED, before=MESSAGES, pause=PAUSES, count=st.integers(0, 40))
def test_finish_is_exact_for_one_window(
    window: Window, before: list[tuple[int, int]], pause: int, count: int
) -> None:
    pace = LocalPace([window])
    starts = run(pace, fitting([window], before))
    now = (starts[-1] if starts else 0) + pause
    predicted = pace.finish(now, count)
    last = max(run(pace, [(0, 1)] * count, now), default=now)
    assert predicted == last - now


@given(windows=st.lists(SIMULATED, max_size=3), before=MESSAGES, pause=PAUSES, count=st.integers(0, 40))
def test_finish_is_never_late(
    windows: list[Window], before: list[tuple[int, int]], pause: int, count: int
) -> None:
    pace = LocalPace(windows)
    starts = run(pace, fitting(windows, before))
    now = (starts[-1] if starts else 0) + pause
    predicted = pace.finish(now, count)
    last = max(run(pace, [(0, 1)] * count, now), default=now)
    assert predicted <= last - now


@pytest.mark.parametrize("count", [1, 14, 400, 501, 1000, 1723])
def test_finish_of_a_new_run_is_exact_for_usual_rates(count: int) -> None:
    windows = [Window(14, SECOND), Window(200, MINUTE), Window(500, HOUR)]
    assert LocalPace(windows).finish(0, count) == run(LocalPace(windows), [(0, 1)] * count)[-1]


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("14/second", Window(14, SECOND)),
        (" 40 / minute ", Window(40, MINUTE)),
        ("2000/hour", Window(2000, HOUR)),
        ("50000/day", Window(50000, DAY)),
    ],
)
def test_parse_window(text: str, window: Window) -> None:
    assert parse_window(text) == window
    assert str(window) == text.replace(" ", "")


@pytest.mark.parametrize(
    "text", ["", "14", "0/second", "-1/second", "1.5/second", "14/seconds", "14/week", "٣/day", "1/day 2/day"]
)
def test_parse_window_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="expected a rate such as"):
        parse_window(text)


def test_a_window_of_an_unusual_length_shows_its_length() -> None:
    assert str(Window(3, 2 * SECOND)) == "3 in 2 s"


def test_a_full_window_is_named_as_the_limit() -> None:
    window = Window(1, SECOND)
    pace = LocalPace((window,))
    pace.take(0)
    assert pace.limit(SECOND - 1) == window
    assert pace.limit(SECOND) is None


def test_of_several_full_windows_the_longest_wait_is_named_as_the_limit() -> None:
    short, long = Window(1, SECOND), Window(2, MINUTE)
    for windows in ((short, long), (long, short)):
        pace = LocalPace(windows)
        pace.take(0)
        assert pace.limit(0) == short
        pace.take(SECOND)
        assert pace.limit(SECOND) == long
