"""Workers that are suspended for longer than their lease, and a PostgreSQL that is away for that long."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign.ledger.postgres.runs import LEASE
from campaign.model import SECOND, Status
from tests.e2e.folder import _stopped, until
from tests.e2e.machines import Machines, ended
from tests.servers.postfix import Postfix
from tests.servers.postgresql import PostgreSQL
from tests.servers.proxy import Proxy

_LEASE = 4 * SECOND  # in the suspended process, so that the test ends soon
_STOPS = f"""
import os, signal, time
from campaign.cli import main
from campaign.ledger.postgres import run
from campaign.sending.lane import Lane
run.LEASE = {_LEASE}
may_write, looks = Lane._may_write, 0
def stops(self):
    global looks
    looks += 1
    if looks == 3:
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(0.5)  # another thread may be the one that takes the signal
    return may_write(self)
Lane._may_write = stops
raise SystemExit(main())
"""
_STOPS_WHILE_IT_UNPACKS = """
import os, signal, sys, time
from campaign.cli import main
from campaign.sending.workers import drain
unpack, stops = drain.unpack, True
def stop():
    global stops
    if stops:
        stops = False
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(0.5)  # another thread may be the one that takes the signal
def unpack_and_stop(*arguments):
    if {before}:
        stop()
    unpacked = unpack(*arguments)
    stop()
    return unpacked
drain.unpack = unpack_and_stop
raise SystemExit(main())
"""

_FORGETS_TO_LOOK = """
from campaign.cli import main
from campaign.sending.workers import drain
calls = 0
def answer(*arguments):
    global calls
    calls += 1
    if calls > 1:
        raise RuntimeError("this is no answer")
drain.answer_questions = answer
raise SystemExit(main())
"""


@pytest.fixture
def folder(postgresql: PostgreSQL, postfix: Postfix, tmp_path: Path) -> Iterator[Machines]:
    """A campaign for workers, with a distant server: messages are in flight for long."""
    with Proxy(postfix.port, delay=0.05) as proxy:
        made = Machines(tmp_path, postfix, postgresql.ledger(), smtp={"port": proxy.port})
        yield made
        made.close()
    postgresql.drop(made.place)


def once(postfix: Postfix, everybody: list[str]) -> None:
    """Assert that each has received one message."""
    time.sleep(1)  # what is in flight arrives
    got = Counter(mail.recipient for mail in postfix.wait_delivered(len(everybody)))
    assert got == Counter(everybody), got.most_common(3)


def test_a_row_in_doubt_is_not_sent_again_while_its_worker_exists(folder: Machines, postfix: Postfix) -> None:
    everybody = folder.people(12)
    folder.begin()
    folder.program = _STOPS
    [held] = folder.workers(1)
    folder.program = ""
    until(lambda: held.poll() is not None or _stopped(held.pid))
    assert held.poll() is None, held.communicate()
    stopped_at = time.monotonic()
    [doubtful] = folder.addresses(Status.IN_FLIGHT)
    # Others have not seen a heartbeat for longer than a lease.
    folder.change("UPDATE runs SET heartbeat = heartbeat - 60000000000")
    assert ended(folder.workers(1)) == [0]
    assert folder.addresses(Status.IN_DOUBT) == {doubtful}
    refused = folder.run("resolve", "campaign.yaml", "--pending", doubtful)
    assert (refused.returncode, "still exists" in refused.stderr) == (2, True), refused.stderr
    # Where the process cannot be seen, a person may decide that all the same.
    folder.change("UPDATE runs SET host = 'elsewhere'")
    resolved = folder.run("resolve", "campaign.yaml", "--pending", doubtful)
    assert resolved.returncode == 0, resolved.stderr
    folder.begin()
    assert ended(folder.workers(1)) == [0]
    until(lambda: time.monotonic() - stopped_at > _LEASE / SECOND)
    held.send_signal(signal.SIGCONT)
    ended([held])
    once(postfix, everybody)
    assert folder.counts() == {"accepted": 12}


def test_an_outage_of_the_database_longer_than_a_lease_loses_nothing(
    folder: Machines, postfix: Postfix, postgresql: PostgreSQL
) -> None:
    everybody = folder.people(70)
    watching = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_until_sending(watching)
    workers = folder.workers(2)
    folder.wait_for(Status.ACCEPTED, 20)
    postgresql.stop("fast")
    time.sleep(LEASE / SECOND + 3)
    postgresql.start()
    for process in (watching, *workers):
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        assert "has taken over this ledger" not in errors
        [told] = [line for line in errors.splitlines() if "the ledger's server cannot be reached" in line]
        assert told.endswith("; waiting 2 min")
    # Replies that came meanwhile have settled their own attempts.
    assert folder.counts() == {"accepted": 70}
    assert folder.rows("SELECT 1 FROM events WHERE kind = 'in_doubt'") == []
    once(postfix, everybody)


@pytest.mark.parametrize("before", [True, False])
def test_a_suspended_worker_sends_the_new_content_of_a_restarted_campaign(
    folder: Machines, postfix: Postfix, before: bool
) -> None:
    postfix.empty()
    people = folder.people(5)
    folder.begin()
    folder.program = _STOPS_WHILE_IT_UNPACKS.format(before=before)
    worker = folder.start("work", "--all", "--ledger", folder.place.url)
    folder.program = ""
    until(lambda: _stopped(worker.pid))
    assert folder.run("stop", "campaign.yaml").returncode == 0
    (folder.folder / "body.txt.j2").write_text("It is tomorrow.\n")
    folder.begin()
    worker.send_signal(signal.SIGCONT)
    assert ended([worker]) == [0]
    once(postfix, people)
    assert all(b"It is tomorrow." in mail.content for mail in postfix.mailbox())


def test_a_worker_that_cannot_check_for_a_stop_ends(folder: Machines) -> None:
    folder.people(500)
    folder.begin()
    folder.program = _FORGETS_TO_LOOK
    worked = folder.run("work", "campaign.yaml", timeout=60)
    assert (worked.returncode, "this is no answer" in worked.stderr) == (1, True), worked.stderr
    assert folder.addresses(Status.PENDING)
    assert not folder.addresses(Status.IN_FLIGHT, Status.IN_DOUBT)
