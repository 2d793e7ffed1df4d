"""Workers are killed and suspended, PostgreSQL crashes; then the ledger must match the mailbox.

Promise 2 in numbers, for several machines: nobody is mailed twice, nobody is missing, nobody is accepted
who got nothing. At most one is in doubt for each connection of each worker that was killed or suspended,
and one for each message whose result a crash of PostgreSQL lost.
"""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign.model import Status
from tests.e2e.folder import kill, until
from tests.e2e.machines import Machines
from tests.need import need
from tests.servers.postfix import Postfix
from tests.servers.postgresql import PostgreSQL

CONNECTIONS = 2


@pytest.fixture
def server() -> Iterator[PostgreSQL]:
    """A PostgreSQL with durable commits, which may be crashed."""
    started = PostgreSQL(need("postgres").resolve().parent)
    yield started
    started.remove()


class Fleet:
    """A constant number of workers of one campaign."""

    def __init__(self, folder: Machines, count: int, seed: int) -> None:
        self.folder = folder
        self._count = count
        self._workers: list[subprocess.Popen[str]] = []
        self._held: list[subprocess.Popen[str]] = []
        self._random = random.Random(seed)
        self.hurt = 0

    def keep_up(self) -> None:
        """Start the missing ones."""
        for worker in [worker for worker in self._workers if worker.poll() is not None]:
            self._workers.remove(worker)
            self._ended(worker)
        while len(self._workers) < self._count:
            self._workers += self.folder.workers(1, "--quiet")

    def kill_one(self) -> None:
        """Kill one with SIGKILL."""
        worker = self._random.choice(self._workers)
        self._workers.remove(worker)
        kill(worker)
        self.hurt += 1

    def hold_one(self) -> None:
        """Suspend one, until `release` resumes it after its lease."""
        worker = self._random.choice(self._workers)
        self._workers.remove(worker)
        worker.send_signal(signal.SIGSTOP)
        self._held.append(worker)
        self.hurt += 1

    def release(self) -> None:
        """Resume the suspended ones."""
        for worker in self._held:
            worker.send_signal(signal.SIGCONT)
        self._workers += self._held
        self._held = []

    def end(self) -> None:
        """Wait for the workers."""
        self.release()
        for worker in self._workers:
            self._ended(worker)
        self._workers = []

    def _ended(self, worker: subprocess.Popen[str]) -> None:
        said = worker.communicate(timeout=120)[1]
        assert "Traceback" not in said, said


@pytest.mark.parametrize(
    ("people", "kills", "crashes"),
    [
        pytest.param(10_000, 25, 4, id="10000"),
        pytest.param(100_000, 60, 6, marks=pytest.mark.long, id="100000"),
    ],
)
def test_nobody_is_mailed_twice_or_lost_when_workers_or_postgresql_die(
    server: PostgreSQL, postfix: Postfix, tmp_path: Path, people: int, kills: int, crashes: int
) -> None:
    smtp = {"connections": CONNECTIONS}
    folder = Machines(tmp_path, postfix, server.ledger(), smtp=smtp, rate="250/second")
    try:
        everybody = set(folder.people(people))
        watching = folder.start("send", "campaign.yaml", "--yes")
        folder.wait_until_sending(watching)
        kill(watching)  # the process that began the campaign is not needed any more
        fleet = Fleet(folder, 3, seed=people)
        hurts = ["kill"] * kills + ["crash"] * crashes
        random.Random(people).shuffle(hurts)
        fleet.keep_up()
        folder.wait_for(Status.ACCEPTED, 5)
        fleet.hold_one()
        for number, hurt in enumerate(hurts, 1):
            so_far = number * people * 3 // 4 // len(hurts)
            until(lambda so_far=so_far: _accepted(folder) >= so_far, timeout=600)  # type: ignore[misc]
            fleet.keep_up()
            if hurt == "kill":
                fleet.kill_one()
            else:
                server.stop("immediate")
                server.start()
            fleet.keep_up()
        until(lambda: _none_waits(folder), timeout=600)
        fleet.end()
        if folder.addresses(Status.PENDING):  # a suspended worker knows that its message did not leave
            folder.begin()
            fleet.keep_up()
            until(lambda: _none_waits(folder), timeout=60)
            fleet.end()
        counts = folder.counts()
        in_doubt = folder.addresses(Status.IN_DOUBT)
        accepted = folder.addresses(Status.ACCEPTED)
        assert accepted | in_doubt == everybody, counts
        got = Counter(mail.recipient for mail in postfix.wait_delivered(len(accepted), timeout=120))
        assert all(count == 1 for count in got.values()), got.most_common(3)
        assert accepted <= set(got) <= everybody
        # A crash loses the results recorded last without waiting for the disk: few for each connection.
        assert len(in_doubt) <= fleet.hurt * CONNECTIONS + crashes * 60, counts
        assert folder.state() == "idle"
    finally:
        folder.close()


def _accepted(folder: Machines) -> int:
    return _count(folder, Status.ACCEPTED)


def _count(folder: Machines, *statuses: Status) -> int:
    time.sleep(0.1)  # it is called often, and the list may be long
    [(count,)] = folder.rows("SELECT count(*) FROM messages WHERE status = ANY(?)", list(map(str, statuses)))
    return int(count)


def _none_waits(folder: Machines) -> bool:
    return _count(folder, Status.PENDING, Status.DEFERRED, Status.IN_FLIGHT) == 0
