"""A rate shared by several machines: no window ever holds too many, whichever of them crashes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaign.campaignfile.location import PostgresLocation
from campaign.campaignfile.rates import parse_window
from campaign.ledger import Scope
from campaign.ledger.postgres.database import Database
from campaign.ledger.postgres.pace import QUIET
from campaign.ledger.postgres.schema import UP_SINCE
from campaign.ledger.postgres.slots import PostgresSlots
from campaign.ledger.slots import HORIZON, MARGIN, Slot
from campaign.model import SECOND, Window
from tests.e2e.folder import until
from tests.ledger.book import registered
from tests.markdown import ROOT
from tests.sending.pace.pacer import SCOPE
from tests.servers.postgresql import PostgreSQL


@dataclass
class Starts:
    """What processes have started: (ns, addresses) in order, the number of lost slots, the longest guard."""

    made: list[tuple[int, int]]
    lost: int
    guard: int

    def crowded(self, window: Window) -> list[int]:
        """Return by how much N+1 starts come too close together at most, ns; 0 is expected."""
        places = [at for at, addresses in self.made for _ in range(addresses)]
        pairs = zip(places, places[window.count :], strict=False)
        return [window.period - (last - first) for first, last in pairs if last - first < window.period]


def begin(
    location: PostgresLocation, rates: str, *, threads: int, seconds: float, addresses: int = 1
) -> Pacer:
    """Start a process that starts contents for this long."""
    arguments = [location.url, rates, str(threads), str(seconds), str(addresses)]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.sending.pace.pacer", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


Pacer = subprocess.Popen[str]


def ended(processes: Sequence[Pacer]) -> Starts:
    """Wait for processes, and return everything that they started."""
    starts = Starts([], 0, 0)
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        *lines, last = out.splitlines()
        starts.made += [(int(at), int(addresses)) for at, addresses in map(str.split, lines)]
        lost, guard = map(int, last.split())
        starts.lost += lost
        starts.guard = max(starts.guard, guard)
    starts.made.sort()
    return starts


@pytest.fixture
def place(postgresql: PostgreSQL) -> Iterator[PostgresLocation]:
    location = postgresql.ledger()
    registered(location).close()
    yield location
    postgresql.drop(location)


@pytest.mark.parametrize(
    ("rates", "addresses"),
    [("200/second", 1), ("14/second", 1), ("30/second,150/minute", 1), ("40/second", 3)],
)
def test_four_processes_keep_one_rate(place: PostgresLocation, rates: str, addresses: int) -> None:
    processes = [begin(place, rates, threads=4, seconds=5, addresses=addresses) for _ in range(4)]
    starts = ended(processes)
    windows = [parse_window(rate) for rate in rates.split(",")]
    assert [starts.crowded(window) for window in windows] == [[]] * len(windows)
    assert sum(places for _, places in starts.made) > windows[0].count


def test_a_crash_of_the_database_server_does_not_exceed_the_rate(
    postgresql: PostgreSQL, place: PostgresLocation
) -> None:
    processes = [begin(place, "20/second,60/minute", threads=3, seconds=14) for _ in range(2)]
    time.sleep(3)
    postgresql.stop("immediate")
    postgresql.start()
    starts = ended(processes)
    assert starts.crowded(Window(20, SECOND)) == starts.crowded(Window(60, 60 * SECOND)) == []


def test_campaigns_with_other_rates_share_the_windows_of_an_account(place: PostgresLocation) -> None:
    slow, fast = parse_window("10/second"), parse_window("40/second")
    one, other = PostgresSlots(place, SCOPE, [slow]), PostgresSlots(place, SCOPE, [fast])
    try:
        used = [booked(fast_or_slow) for fast_or_slow in [other] * 25 + [one] * 5]
    finally:
        one.close()
        other.close()
    # The slow one counts what the fast one has booked.
    assert used[25].at - used[15].at > SECOND


def test_a_wider_rate_causes_only_one_wait(place: PostgresLocation) -> None:
    narrow = PostgresSlots(place, SCOPE, [parse_window("10/second")])
    wide = PostgresSlots(place, SCOPE, [parse_window("40/second")])
    try:
        booked(narrow)
        assert isinstance(wide.book(1, SECOND // 100), int)  # more slots must be known than were kept
        until(lambda: isinstance(narrow.book(1, SECOND // 100), Slot), timeout=20)
        booked(wide)
    finally:
        narrow.close()
        wide.close()


def test_a_standby_that_takes_over_waits_for_slots_it_may_not_know(place: PostgresLocation) -> None:
    slots = PostgresSlots(place, SCOPE, [Window(1, 60 * SECOND)])
    database = Database(place)
    up = f"SELECT pace_now() - {UP_SINCE}"
    try:
        until(lambda: (database.row(up) or (0,))[0] > QUIET, timeout=20)  # a standby was started long ago
        booked(slots)
        database.change("UPDATE pace SET booted_at = 1")  # these slots were booked on another server
        wait = slots.book(1, SECOND // 100)
        assert isinstance(wait, int)
        assert HORIZON < wait <= QUIET
        database.change("UPDATE pace SET last = last - %s", (QUIET,))  # as if that were long ago
        booked(slots)
    finally:
        slots.close()
        database.close()


def booked(slots: PostgresSlots, addresses: int = 1) -> Slot:
    found = slots.book(addresses, SECOND // 100)
    assert isinstance(found, Slot)
    return found


def test_after_a_restart_bookings_are_lost_and_intents_still_count(place: PostgresLocation) -> None:
    database = Database(place)
    scope = Scope("mail.example.com", "slow")
    slots = PostgresSlots(place, scope, [Window(3, 60 * SECOND)])
    for _ in range(3):
        booked(slots)
    assert slots.wait(1) > 58 * SECOND
    database.change("UPDATE pace SET booted_at = 1 WHERE username = 'slow'")  # as a start of the server does
    database.change(
        "INSERT INTO runs (campaign, host, pid, process, server, username, started_at, heartbeat)"
        " SELECT id, '', 0, '', %s, %s, pace_now(), pace_now() FROM campaigns",
        (scope.host, scope.username),
    )
    database.change(
        "INSERT INTO attempts (run, started_at, addresses) SELECT max(id), pace_now(), 2 FROM runs"
    )
    until(lambda: slots.wait(1) == 0, timeout=20)
    booked(slots)
    waits = slots.wait(1)
    slots.close()
    database.close()
    assert 40 * SECOND < waits < 63 * SECOND


WINDOWS = st.lists(
    st.builds(Window, st.integers(2, 6), st.sampled_from([SECOND // 2, SECOND, 3 * SECOND])),
    min_size=1,
    max_size=3,
)
BOOKINGS = st.lists(
    st.tuples(st.integers(1, 2), st.integers(1, SECOND // 20), st.floats(0, 1, exclude_max=True)), max_size=30
)


@given(windows=WINDOWS, bookings=BOOKINGS)
@settings(max_examples=40)
def test_starts_at_any_time_in_their_slots_keep_every_window(
    clockwork: Database, windows: list[Window], bookings: list[tuple[int, int, float]]
) -> None:
    """Calls the SQL function without waiting: the clock is set to each slot."""
    clockwork.change("UPDATE test_clock SET at = 1000000000000")
    clockwork.change("TRUNCATE pace, pace_slots")
    counts, periods = [one.count for one in windows], [one.period for one in windows]
    starts: list[int] = []
    for addresses, guard, late in bookings:
        for _ in range(10):
            found = clockwork.row(
                "SELECT at, booked FROM pace_book('h', 'u', %s::bigint[], %s::bigint[], 0, %s, %s, true)",
                (counts, periods, addresses, guard),
            )
            assert found is not None
            at, taken = found
            if taken:
                starts += [at + int(late * guard)] * addresses
                break
            clockwork.change("UPDATE test_clock SET at = %s", (at,))
        else:
            raise AssertionError("no slot was ever to be had")
    assert all(Starts([(at, 1) for at in sorted(starts)], 0, 0).crowded(window) == [] for window in windows)


@pytest.fixture(scope="module")
def clockwork(postgresql: PostgreSQL) -> Iterator[Database]:
    """A database whose clock only moves when it is set."""
    location = postgresql.ledger()
    database = Database(location)
    database.change("CREATE TABLE test_clock AS SELECT 0::bigint AS at")
    database.change(
        "CREATE OR REPLACE FUNCTION pace_now() RETURNS bigint LANGUAGE sql AS 'SELECT at FROM test_clock'"
    )
    yield database
    database.close()
    postgresql.drop(location)


@given(
    at=st.integers(0, 10**6),
    guard=st.integers(0, 10**6),
    clock=st.integers(0, 10**6),
    before=st.integers(0, 10**6),
    took=st.integers(0, 10**6),
    read=st.floats(0, 1),
    now=st.integers(0, 3 * 10**6),
)
def test_a_slot_is_used_only_while_it_lasts_whenever_the_clock_was_read(
    at: int, guard: int, clock: int, before: int, took: int, read: float, now: int
) -> None:
    slot = Slot(at, guard, clock, before, before + took)
    shown = clock + now - (before + int(read * took))  # what the server's clock shows at `now`
    if slot.opens <= now < slot.closes:
        assert at <= shown
        assert shown + MARGIN < at + guard + 1


def test_nothing_is_booked_far_ahead(place: PostgresLocation) -> None:
    slots = PostgresSlots(place, SCOPE, [Window(1, 60 * SECOND)])
    booked(slots)
    asked = slots.book(1, SECOND // 100)
    slots.close()
    assert isinstance(asked, int)
    assert asked > HORIZON
