"""How long ago contents started, over restarts, reboots and clock changes.

No restart gives a second quota, and no wait lasts for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.clock import Moment
from campaign.ledger import Ledger, Scope
from campaign.ledger.processes import this_process
from campaign.ledger.protocols import Intent, Run
from campaign.model import SECOND, Window
from campaign.sending.account import TARDY, load_pace
from campaign.sending.pace.pacing import LocalPace
from tests.ledger.book import NOW, SCOPE, database, enrol, message_id, people

MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86400 * SECOND
YEAR = 365 * DAY
ANNA, BEN = "anna@example.com", "ben@example.com"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    book = Ledger.open(tmp_path / "ledger.db", "news")
    enrol(book, people(ANNA, BEN))
    yield book
    book.close()


def begin(ledger: Ledger, at: Moment, scope: Scope = SCOPE) -> Run:
    """Take the lease at this moment."""
    sending = ledger.start(scope, at.utc)
    sending.heartbeat(at.utc, at.steady)
    return sending


def end(ledger: Ledger, sending: Run, at: Moment) -> None:
    sending.heartbeat(at.utc, at.steady)
    sending.end(at.utc)
    database(ledger).change("UPDATE runs SET steady = ? WHERE id = (SELECT max(id) FROM runs)", (at.steady,))


def boot_anew(ledger: Ledger) -> None:
    """Make all runs so far those of an earlier boot."""
    boot = this_process()[2].partition(" ")[0]
    database(ledger).change("UPDATE runs SET process = replace(process, ?, 'an-earlier-boot')", (boot,))


def ages(ledger: Ledger, at: Moment, period: int = DAY) -> list[tuple[int, int]]:
    return ledger.start_ages(SCOPE, at, period, 1000)


@pytest.mark.parametrize("jump", [YEAR, -YEAR, 20 * SECOND, -20 * SECOND])
@pytest.mark.parametrize("rebooted", [False, True])
def test_setting_the_clock_during_a_run_does_not_change_ages(
    ledger: Ledger, jump: int, rebooted: bool
) -> None:
    sending = begin(ledger, Moment(0, NOW))
    sending.claim(NOW, 10)
    sending.record((), (Intent(ANNA, NOW + SECOND, (ANNA,), message_id(ANNA), "", SECOND),))
    before = database(ledger).rows("SELECT * FROM attempts")
    end(ledger, sending, Moment(5 * SECOND, NOW + 5 * SECOND + jump))
    later = Moment(HOUR, NOW + HOUR + jump)
    if rebooted:
        boot_anew(ledger)
        later = Moment(7, later.utc)
    assert ages(ledger, later) == [(HOUR - SECOND, 1)]
    assert database(ledger).rows("SELECT * FROM attempts") == before


@pytest.mark.parametrize("jump", [YEAR, -YEAR, 20 * SECOND])
def test_setting_the_clock_between_two_runs_of_a_boot_does_not_change_ages(ledger: Ledger, jump: int) -> None:
    sending = begin(ledger, Moment(0, NOW))
    sending.note_start(NOW, 1, 0)
    end(ledger, sending, Moment(1, NOW + 1))
    assert ages(ledger, Moment(HOUR, NOW + HOUR + jump)) == [(HOUR, 1)]


def test_starts_by_a_clock_that_was_ahead_count_as_made_now(ledger: Ledger) -> None:
    """As long ago, they would give a second quota; as still to come, they would block for ever."""
    sending = begin(ledger, Moment(0, NOW + YEAR))
    sending.note_start(NOW + YEAR, 3, 0)
    end(ledger, sending, Moment(1, NOW + YEAR))
    boot_anew(ledger)
    before = database(ledger).rows("SELECT * FROM attempts")
    assert ages(ledger, Moment(10 * SECOND, NOW)) == [(0, 3)]
    again = begin(ledger, Moment(10 * SECOND, NOW))
    end(ledger, again, Moment(20 * SECOND, NOW + 10 * SECOND))
    assert ages(ledger, Moment(HOUR, NOW + HOUR)) == [(HOUR - 20 * SECOND, 3)]
    assert ages(ledger, Moment(2 * DAY, NOW + 2 * DAY)) == []
    assert database(ledger).rows("SELECT * FROM attempts") == before


def test_starts_without_a_steady_time_use_the_time_of_day(ledger: Ledger) -> None:
    sending = begin(ledger, Moment(0, NOW))
    sending.note_start(NOW, 2)
    sending.note_start(NOW + 2 * HOUR, 1)
    assert ages(ledger, Moment(9, NOW + HOUR)) == [(HOUR, 2), (0, 1)]


def test_starts_of_all_campaigns_of_an_account_count(ledger: Ledger) -> None:
    sending = begin(ledger, Moment(0, NOW))
    sending.claim(NOW, 10)
    sending.record((), (Intent(ANNA, NOW, (ANNA, "b@example.com"), message_id(ANNA), "", 0),))
    sending.note_start(NOW + 1, 1, 1)  # a test message
    end(ledger, sending, Moment(2, NOW))
    other = Ledger(ledger.storage, "letters", None)
    assert ages(other, Moment(10, NOW + 10)) == [(10, 2), (9, 1)]
    assert other.start_ages(SCOPE, Moment(10, NOW + 10), DAY, 1) == [(9, 1)]
    for another in (
        Scope(SCOPE.host, "another"),
        Scope("mail.example.org", "news"),
        Scope.of("x", "news", "y"),
    ):
        assert other.start_ages(another, Moment(10, NOW + 10), DAY, 10) == []


def test_case_and_a_final_dot_make_no_difference_in_a_host(ledger: Ledger) -> None:
    assert Scope.of("Mail.Example.COM.", "news") == SCOPE
    sending = begin(ledger, Moment(0, NOW), Scope("MAIL.example.com.", "news"))  # as earlier releases did
    sending.note_start(NOW, 1, 0)
    assert ages(ledger, Moment(5, NOW + 5)) == [(5, 1)]


def test_a_named_account_is_one_scope_for_all_hosts(ledger: Ledger) -> None:
    one, two = Scope.of("a.example.com", "x", "our relay"), Scope.of("b.example.com", "y", "our relay")
    assert one == two
    sending = begin(ledger, Moment(0, NOW), one)
    sending.note_start(NOW, 1, 0)
    assert ledger.start_ages(two, Moment(5, NOW + 5), DAY, 10) == [(5, 1)]


def test_a_postponed_start_is_recorded(ledger: Ledger) -> None:
    sending = begin(ledger, Moment(0, NOW))
    sending.claim(NOW, 10)
    intent = Intent(ANNA, NOW, (ANNA,), message_id(ANNA), "", 0)
    sending.record((), (intent,))
    sending.postpone(Intent(ANNA, NOW + MINUTE, (ANNA,), message_id(ANNA), "", MINUTE))
    assert ages(ledger, Moment(HOUR, NOW + HOUR)) == [(HOUR - MINUTE, 1)]


def test_new_rows_are_due_at_once_even_if_the_clock_was_ahead(ledger: Ledger) -> None:
    sending = ledger.start(SCOPE, NOW - YEAR)  # set back since the list was enrolled
    assert sending.next_due(NOW - YEAR) is not None
    assert len(sending.claim(NOW - YEAR, 10)) == 2
    sending.unclaim([ANNA, BEN])
    assert len(sending.claim(NOW - 2 * YEAR, 10)) == 2  # and during the send


def test_a_row_that_returned_to_the_list_is_due_even_if_the_clock_was_set_back(ledger: Ledger) -> None:
    database(ledger).change("UPDATE messages SET due_at = ?", (NOW + HOUR,))
    sending = ledger.start(SCOPE, NOW)
    assert len(sending.claim(NOW, 10)) == 2


PAUSES = st.one_of(st.integers(0, 2 * SECOND), st.sampled_from([0, SECOND // 7, SECOND, MINUTE, HOUR, DAY]))
JUMPS = st.one_of(st.just(0), st.sampled_from([-YEAR, -HOUR, -SECOND, SECOND, HOUR, YEAR]))
RUNS = st.lists(
    st.tuples(
        PAUSES,  # before the run
        JUMPS,  # set before the run
        st.lists(st.tuples(PAUSES, st.integers(1, 3), st.integers(0, TARDY), JUMPS), max_size=6),
    ),
    min_size=1,
    max_size=6,
)
WINDOWS = st.lists(
    st.builds(Window, st.integers(3, 8), st.sampled_from([SECOND, MINUTE, HOUR, DAY])), min_size=1, max_size=3
)


@given(windows=WINDOWS, runs=RUNS)
def test_no_window_holds_more_than_its_count_over_restarts_and_clock_changes(
    windows: list[Window], runs: list[tuple[int, int, list[tuple[int, int, int, int]]]]
) -> None:
    """Real time is `true`; the time of day is off by `wrong`, which changes. Every run ends like a crash."""
    ledger = Ledger.temporary("news")
    made: list[int] = []
    whole = LocalPace(windows)  # of a single process without restarts
    true, wrong, restarts = 0, 0, 0
    for pause, jump, messages in runs:
        true, wrong, restarts = true + pause, wrong + jump, restarts + 1
        present = Moment(true, NOW + true + wrong)
        pace = LocalPace(windows)
        load_pace(pace, SCOPE, tuple(windows), ledger, present)
        sending = begin(ledger, present)
        for wait, addresses, late, jump in messages:
            true, wrong = true + wait, wrong + jump
            delay = pace.delay(true, addresses)
            assert delay <= max(0, whole.delay(true, addresses)) + TARDY  # no wait lasts for ever
            true += delay
            sending.heartbeat(NOW + true + wrong, true)
            sending.note_start(NOW + true + wrong, addresses, true)
            true += late
            pace.take(true, addresses)
            whole.take(true, addresses)
            made += [true] * addresses
        database(ledger).change("UPDATE runs SET ended_at = 1")
    ledger.close()
    for window in windows:
        pairs = zip(made, made[window.count :], strict=False)
        assert all(later - earlier >= window.period for earlier, later in pairs), (window, made)
