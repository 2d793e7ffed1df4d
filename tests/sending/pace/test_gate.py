"""The gate: no window holds too many, however long commits take, and every booking is used or released."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.model import SECOND, Window
from campaign.sending.pace.gate import Booking, Gate
from campaign.sending.pace.pacing import LocalPace

MS = SECOND // 1000


def starts(
    windows: Sequence[Window], lanes: int, count: int, commits: Sequence[int], addresses: Sequence[int] = (1,)
) -> list[int]:
    """Start `count` contents over this many lanes; return the start of each of their addresses.

    `commits` are the ns that commits take, in turn; `addresses` are the sizes of envelopes.
    """
    gate = Gate(LocalPace(tuple(windows)))
    made, asked = list[int](), count
    held: dict[int, Booking] = {}
    turns = [(0, lane, 0) for lane in range(lanes)]  # when, who, and the addresses of an intent that holds
    while turns:
        now, lane, size = heapq.heappop(turns)
        if size:
            if delay := held[lane].start(now):
                heapq.heappush(turns, (now + delay, lane, size))
                continue
            made += [now] * size
        if asked:
            size = addresses[asked % len(addresses)]
            booking = gate.book(f"{lane}", size)
            granted, delay = booking.may_intend(now)
            if granted:
                asked -= 1
                took = commits[asked % len(commits)]
                gate.committed(took)
                held[lane] = booking
                heapq.heappush(turns, (now + took, lane, size))
            else:
                heapq.heappush(turns, (now + delay, lane, 0))
    return made


@pytest.mark.parametrize("lanes", [1, 3])
def test_slow_commits_do_not_slow_the_pace(lanes: int) -> None:
    made = starts([Window(100, SECOND)], lanes, 300, [8 * MS, 3 * MS])
    assert made == [made[0] + n * 10 * MS for n in range(len(made))]
    assert len(made) == 300


def test_envelopes_with_several_addresses_use_all_of_a_narrow_window() -> None:
    made = starts([Window(10, SECOND)], lanes=8, count=60, commits=[3 * MS], addresses=[3])
    assert len(made) == 180
    assert made[-1] - made[0] <= 21 * SECOND  # three envelopes a second


@given(
    windows=st.lists(
        st.builds(Window, st.integers(3, 200), st.sampled_from([SECOND, 60 * SECOND])), min_size=1, max_size=3
    ),
    lanes=st.integers(1, 4),
    commits=st.lists(st.integers(0, 200 * MS), min_size=1, max_size=5),
    addresses=st.lists(st.integers(1, 3), min_size=1, max_size=4),
)
def test_no_window_holds_more_than_its_count_however_slow_the_disk_is(
    windows: list[Window], lanes: int, commits: list[int], addresses: list[int]
) -> None:
    made = starts(windows, lanes, 60, commits, addresses)
    assert len(made) == sum(addresses[place % len(addresses)] for place in range(1, 61))
    for window in windows:
        pairs = zip(made, made[window.count :], strict=False)
        assert all(later - earlier >= window.period for earlier, later in pairs), (window, made)


class TestBookings:
    """What is booked and not used is released by itself."""

    def gate(self) -> Gate:
        return Gate(LocalPace((Window(4, 60 * SECOND),)))

    def full(self, gate: Gate, addresses: int = 4) -> bool:
        """Whether this many addresses may no longer go ahead."""
        with gate.book("probe", addresses) as probe:
            return probe.ahead(0) > 0

    def fill(self, gate: Gate) -> None:
        """Start as many as the window holds, at time 0."""
        with gate.book("full", 4) as booking:
            assert booking.may_intend(0)[0]
            assert booking.start(0) == 0

    def test_an_envelope_ahead_counts_until_it_is_given_back(self) -> None:
        gate = self.gate()
        with gate.book("a", 4) as booking:
            assert booking.ahead(0) == 0
            assert booking.ahead(0) == 0  # asked twice, counted once
            assert self.full(gate, 1)
        assert not self.full(gate)
        booking.give_back()  # twice does nothing
        assert not self.full(gate)

    @pytest.mark.parametrize("steps", [1, 2])
    def test_a_failure_releases_its_booking(self, steps: int) -> None:
        gate = self.gate()

        def fails() -> None:
            with gate.book("a", 4) as booking:
                booking.ahead(0)
                if steps == 2:
                    assert booking.may_intend(0) == (True, 0)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fails()
        assert not self.full(gate)
        with gate.book("b", 4) as booking:
            assert booking.may_intend(0) == (True, 0)
            assert booking.start(0) == 0
        assert self.full(gate, 1)  # what has started stays in the pace

    def test_a_waiting_booking_that_is_given_up_blocks_nobody(self) -> None:
        gate = self.gate()
        self.fill(gate)
        waits, later = gate.book("waits", 1), gate.book("later", 1)
        assert not waits.may_intend(0)[0]
        assert not later.may_intend(61 * SECOND)[0]  # after the one that asked first
        waits.give_back()
        assert later.may_intend(61 * SECOND) == (True, 0)

    def test_an_envelope_is_sent_when_its_content_may_follow_soon(self) -> None:
        gate = self.gate()
        self.fill(gate)
        booking = gate.book("a", 1)
        assert booking.ahead(0) == 59 * SECOND
        assert booking.ahead(58 * SECOND - 1) > 0
        assert booking.ahead(58 * SECOND) == 0

    def test_an_intent_is_committed_just_before_its_content_may_leave(self) -> None:
        gate = self.gate()
        self.fill(gate)
        booking = gate.book("a", 1)
        assert booking.may_intend(59 * SECOND) == (False, 990 * MS)
        assert booking.may_intend(60 * SECOND - 10 * MS) == (True, 10 * MS)

    def test_a_committed_intent_keeps_its_place(self) -> None:
        gate = self.gate()
        assert gate.book("a", 4).may_intend(0) == (True, 0)
        assert not gate.book("b", 1).may_intend(0)[0]

    def test_starts_are_never_earlier_than_the_last_one(self) -> None:
        """Two connections read the clock in one order, and reach the gate in the other."""
        gate = self.gate()
        late, early = gate.book("late", 1), gate.book("early", 1)
        assert late.may_intend(0)[0]
        assert early.may_intend(0)[0]
        assert late.start(10 * SECOND) == 0
        assert early.start(9 * SECOND) == 0
        assert early.started_at == 10 * SECOND

    def test_a_hold_stops_envelopes_but_not_contents(self) -> None:
        gate = self.gate()
        gate.hold(30 * SECOND)
        assert gate.held(0) == 30 * SECOND
        assert gate.book("a", 1).ahead(0) > 0
        assert gate.book("b", 1).may_intend(0) == (True, 0)
        gate.hold(10 * SECOND)
        assert gate.held(0) == 30 * SECOND


def test_messages_in_flight_are_counted_once_in_the_outlook() -> None:
    """Three of 3/hour are in flight: the fourth leaves in an hour, and that is the last of the four."""
    hour = 3600 * SECOND
    gate = Gate(LocalPace((Window(3, hour),)))
    bookings = [gate.book(f"{n}", 1) for n in range(3)]
    for booking in bookings:
        with booking:
            assert booking.may_intend(0)[0]
            assert booking.start(0) == 0
    ahead = gate.outlook(4, None, 0, 0)
    assert ahead.next_at == ahead.ends_at == hour
    for booking in bookings:
        booking.settled()
    assert gate.outlook(4, None, 0, 0).ends_at == 2 * hour
