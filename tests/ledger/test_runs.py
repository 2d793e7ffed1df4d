"""The lease: there is one sender, and a dead run is told apart from a live one."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign.campaignfile.location import Location
from campaign.errors import LeaseHeld, LeaseLost, UserError
from campaign.ledger import Ledger, Suppression
from campaign.ledger.postgres.runs import LEASE as POSTGRES_LEASE
from campaign.ledger.processes import this_process
from campaign.ledger.protocols import Choices
from campaign.ledger.sqlite.runs import LEASE
from campaign.model import SECOND, Status
from tests.ledger.book import NOW, database, enrol, intent, people, result, send, start, statuses
from tests.ledger.namespace import ROOT

ANNA, BEN = "anna@example.com", "ben@example.com"

SENDER = """
import sys, time
from pathlib import Path
from campaign.campaignfile.location import read_location
from campaign.ledger import Ledger, Scope
from tests.ledger.book import NOW, intent
ledger = Ledger.open(read_location(sys.argv[1], Path()), "news")
sending = ledger.start(Scope("mail.example.com", "news"), time.time_ns())
sending.claim(time.time_ns(), 10)
print(sending.record((), (intent("anna@example.com"),)), flush=True)
time.sleep(60)
"""


@pytest.fixture
def ledger(location: Location) -> Iterator[Ledger]:
    book = Ledger.open(location, "news")
    enrol(book, people(ANNA, BEN))
    yield book
    book.close()


@pytest.fixture
def sender(location: Location, ledger: Ledger) -> Iterator[subprocess.Popen[str]]:
    """Another process that has a message in flight."""
    process = subprocess.Popen(
        [sys.executable, "-c", SENDER, str(location)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    assert ANNA in process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


def test_a_second_sender_is_refused_with_the_pid_and_host_of_the_first(
    ledger: Ledger, sender: subprocess.Popen[str]
) -> None:
    with pytest.raises(LeaseHeld) as held:
        start(ledger)
    assert f"process {sender.pid} on {platform.node()} is sending from this ledger" in str(held.value)
    assert ledger.history.summary(NOW).sending == (sender.pid, platform.node())


def test_other_commands_work_while_a_run_is_sending(ledger: Ledger, sender: subprocess.Popen[str]) -> None:
    assert ledger.suppressions.add([Suppression(BEN, "asked", NOW)]) == ([BEN], 1)
    assert ledger.settle_doubt(Status.ACCEPTED, [ANNA], "by hand", NOW) == 0  # it is in flight
    assert ledger.history.summary(NOW).counts[Status.IN_FLIGHT] == 1
    assert ledger.forget(BEN, NOW).rows == 1
    assert statuses(ledger) == {ANNA: "in_flight"}


def test_a_row_that_a_killed_run_left_in_flight_is_in_doubt(
    ledger: Ledger, sender: subprocess.Popen[str]
) -> None:
    sender.kill()
    sender.wait()
    assert ledger.history.summary(NOW).counts[Status.IN_DOUBT] == 1  # before any process has recorded that
    sending = start(ledger)
    assert statuses(ledger) == {ANNA: "in_doubt", BEN: "pending"}
    events = database(ledger).rows("SELECT key, kind FROM events")
    assert events == [(ANNA, "in_doubt")]
    assert [claim.recipient.key for claim in sending.claim(NOW, 10)] == [BEN]


def test_a_zombie_holds_no_lease(ledger: Ledger, sender: subprocess.Popen[str]) -> None:
    os.kill(sender.pid, signal.SIGKILL)
    os.waitid(os.P_PID, sender.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is still there
    start(ledger)


def test_a_stopped_process_keeps_its_lease(ledger: Ledger, sender: subprocess.Popen[str]) -> None:
    os.kill(sender.pid, signal.SIGSTOP)
    with pytest.raises(LeaseHeld):
        start(ledger, NOW + 10 * LEASE)


def test_resolve_settles_a_row_that_a_killed_run_left_in_flight(
    ledger: Ledger, sender: subprocess.Popen[str]
) -> None:
    sender.kill()
    sender.wait()
    assert ledger.settle_doubt(Status.ACCEPTED, [ANNA], "by hand", NOW) == 1
    assert statuses(ledger)[ANNA] == "accepted"


def holder(ledger: Ledger, **values: object) -> None:
    """Make the run that holds the lease another process's."""
    for column, value in values.items():
        database(ledger).change(f"UPDATE runs SET {column} = ?", (value,))


def test_a_later_process_with_the_same_pid_is_not_mistaken_for_the_run(ledger: Ledger) -> None:
    start(ledger)
    process = this_process()[2]
    holder(ledger, process=process.rpartition(" ")[0] + " 1")
    start(ledger)


@pytest.mark.kinds("sqlite")
@pytest.mark.parametrize(
    ("column", "value"),
    [("host", "elsewhere"), ("process", "another-boot pid:[1] 77"), ("process", "")],
    ids=["another host", "another boot or container", "a system that does not say"],
)
@pytest.mark.parametrize(
    ("age", "lives"),
    [(0, True), (59, True), (61, False), (86_400, False), (-30, True), (-61, False), (-31_536_000, False)],
)
def test_an_invisible_process_is_alive_while_its_heartbeat_is_recent(
    ledger: Ledger, column: str, value: str, age: int, lives: bool
) -> None:
    """Also if its clock was a year ahead when it died: it does not hold the lease for a year."""
    sending = start(ledger)
    sending.heartbeat(NOW - age * SECOND)
    holder(ledger, **{column: value})
    if lives:
        with pytest.raises(LeaseHeld, match="counts as dead 60 s after its last heartbeat"):
            start(ledger)
    else:
        start(ledger)


def test_the_clock_does_not_matter_for_a_visible_process(ledger: Ledger) -> None:
    start(ledger)
    for now in (NOW - 10**18, NOW + 10**18):
        with pytest.raises(LeaseHeld):
            start(ledger, now)


def test_a_process_of_another_user_that_proc_hides_is_alive(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With hidepid, /proc does not show it; the system only says that there is such a process."""
    start(ledger)

    def hidden(pid: int, number: int) -> None:
        raise PermissionError

    real = Path.read_text

    def read(self: Path, *arguments: str) -> str:
        if self.name == "stat":
            raise FileNotFoundError
        return real(self, *arguments)

    monkeypatch.setattr(os, "kill", hidden)
    monkeypatch.setattr(Path, "read_text", read)
    with pytest.raises(LeaseHeld):
        start(ledger)


def test_a_run_that_lost_its_lease_sends_nothing_more(location: Location, ledger: Ledger) -> None:
    first = start(ledger)
    first.claim(NOW, 10)
    first.record((), (intent(ANNA),))
    holder(ledger, host="elsewhere", heartbeat=NOW - 2 * LEASE)
    other = Ledger.open(location, "news")
    second = start(other)
    assert statuses(ledger) == {ANNA: "in_doubt", BEN: "pending"}
    second.claim(NOW, 10)

    # Replies that the first one still gets are recorded; it sends nothing.
    with pytest.raises(LeaseLost):
        first.record((result(ANNA),), (intent(BEN),))
    assert statuses(ledger) == {ANNA: "accepted", BEN: "pending"}
    with pytest.raises(LeaseLost):
        first.heartbeat(NOW)
    assert second.record((), (intent(BEN),)) == {BEN}
    other.close()


def test_a_row_in_doubt_cannot_become_pending_while_its_sender_still_exists(
    ledger: Ledger, sender: subprocess.Popen[str]
) -> None:
    """Another machine took over, but the process was only suspended: it may send the rest of the message."""
    [(host,)] = database(ledger).rows("SELECT host FROM runs")
    holder(ledger, host="elsewhere", heartbeat=NOW - 2 * LEASE)
    start(ledger).end(NOW)
    database(ledger).change("UPDATE runs SET host = ? WHERE id = 1", (host,))
    assert statuses(ledger)[ANNA] == "in_doubt"
    with pytest.raises(
        UserError, match=f"^{ANNA}: process {sender.pid} on .* it may still send it; end that process"
    ):
        ledger.settle_doubt(Status.PENDING, [ANNA], "by hand", NOW)
    again = ledger.enrolment(Choices(resend_doubt=True))
    again.stage(("email",), people(ANNA, BEN))
    with pytest.raises(UserError, match=rf"process {sender.pid} .* 1 message in doubt .*end that process"):
        again.plan()
    assert statuses(ledger)[ANNA] == "in_doubt"
    sender.kill()
    sender.wait()
    assert again.plan().twice == 1
    assert ledger.settle_doubt(Status.PENDING, [ANNA], "by hand", NOW) == 1


def test_a_lease_certainly_holds_for_half_its_time_after_renewal(kind: str, ledger: Ledger) -> None:
    lease = LEASE if kind == "sqlite" else POSTGRES_LEASE
    sending = start(ledger)
    sending.heartbeat(NOW, 1000)
    assert sending.holds(1000 + lease // 2 - 1)
    assert not sending.holds(1000 + lease // 2)


def test_a_late_result_does_not_undo_a_decision(location: Location, ledger: Ledger) -> None:
    first = start(ledger)
    first.claim(NOW, 10)
    first.record((), (intent(ANNA),))
    holder(ledger, host="elsewhere", heartbeat=NOW - 2 * LEASE)
    other = Ledger.open(location, "news")
    second = start(other)
    other.settle_doubt(Status.PENDING, [ANNA], "by hand", NOW)
    assert send(other, second, ANNA, Status.REFUSED)
    first.record((result(ANNA, Status.IN_DOUBT),), ())
    assert statuses(ledger)[ANNA] == "refused"
    other.close()


@pytest.mark.kinds("sqlite")  # in PostgreSQL, campaigns share the rate by booking slots
def test_two_campaigns_of_a_ledger_cannot_send_at_the_same_time(location: Location, ledger: Ledger) -> None:
    other = Ledger.open(location, "letters")
    enrol(other, people(ANNA))
    sending = start(ledger)
    sending.claim(NOW, 10)
    sending.record((), (intent(ANNA),))
    with pytest.raises(LeaseHeld):
        start(other)
    sending.end(NOW)
    second = start(other)
    assert [claim.recipient.key for claim in second.claim(NOW, 10)] == [ANNA]
    # The next run of any campaign records what a dead run left.
    assert ledger.history.summary(NOW).counts[Status.IN_DOUBT] == 1
    assert enrol(ledger, people(ANNA), Choices(resend_doubt=True)).to_send == 1
    other.close()
