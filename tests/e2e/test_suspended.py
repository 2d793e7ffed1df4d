"""A run is suspended for longer than its lease while a message leaves, and another run sends meanwhile.

It is stopped (SIGSTOP) at a chosen place: before the check of the lease that precedes each write, where
nobody may be mailed twice, or after it, in the gap that no program can close. The gap is tested apart.
"""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable

import pytest

from campaign import clock
from campaign.model import SECOND, Status
from tests.e2e.folder import CampaignFolder, Folders, _stopped, until
from tests.servers.postfix import Postfix

_LEASE = 8 * SECOND  # in the suspended process, so that the test ends soon
_STOPS = f"""
import os, signal, sys, time
from campaign.cli import main
from campaign.ledger.sqlite import run, runs
from campaign.sending.lane import Lane
run.LEASE = runs.LEASE = {_LEASE}
where, look = sys.argv.pop(1), int(sys.argv.pop(1))
may_write, looks = Lane._may_write, 0
def stop():
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(0.5)  # another thread may be the one that takes the signal
def stops(self):
    global looks
    looks += 1
    if looks == look and where == "outside":
        stop()
    may = may_write(self)
    if looks == look and where == "in the gap":
        stop()
    return may
Lane._may_write = stops
raise SystemExit(main())
"""


def taken_over(folder: CampaignFolder, where: str, look: int) -> subprocess.CompletedProcess[str]:
    """Stop a run at a check, let another one send everything, and resume; return how the first one ended."""
    arguments = [
        sys.executable,
        "-c",
        _STOPS,
        where,
        str(look),
        "send",
        "campaign.yaml",
        "--yes",
        "--new-ledger",
    ]
    process = subprocess.Popen(
        arguments,
        cwd=folder.folder,
        env=folder.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(lambda: process.poll() is not None or _stopped(process.pid))
        assert process.poll() is None, process.communicate()
        since = clock.steady()
        assert len(folder.addresses(Status.IN_FLIGHT)) == 1
        # On another machine the process cannot be seen, and its heartbeat gets old.
        connection = sqlite3.connect(folder.folder / "ledger.db", isolation_level=None)
        connection.execute("UPDATE runs SET host = 'elsewhere', heartbeat = heartbeat - 120000000000")
        connection.close()
        other = folder.send("--resend-doubt")
        assert other.returncode == 0, other.stderr
        until(lambda: clock.steady() - since > _LEASE)
        process.send_signal(signal.SIGCONT)
        stdout, stderr = process.communicate(timeout=60)
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)
    finally:
        process.kill()
        process.communicate()


def sent_twice(server: Postfix, people: int) -> int:
    """Return how many messages were sent too many."""
    time.sleep(1)  # what is in flight arrives
    got = Counter(mail.recipient for mail in server.wait_delivered(people))
    assert len(got) == people
    return sum(got.values()) - people


@pytest.mark.parametrize(("look", "window"), [(1, 1), (2, 1), (4, 1), (2, 8)])
def test_a_run_suspended_before_it_checks_the_lease_sends_nothing_twice(
    make_postfix: Callable[..., Postfix], campaign_for: Folders, look: int, window: int
) -> None:
    """Also if part of the content has left: only the rest would make it a message."""
    server = make_postfix(message_size_limit=64 << 20, virtual_mailbox_limit=0)
    folder = campaign_for(server, attachments=["large.bin"], smtp={"window": window})
    (folder.folder / "large.bin").write_bytes(bytes(16 << 20))  # more than a kernel takes at once
    folder.people(2)
    ended = taken_over(folder, "outside", look)
    assert "Traceback" not in ended.stderr
    assert ended.returncode == 5, ended.stderr
    assert sent_twice(server, 2) == 0
    assert folder.counts() == {"accepted": 2}


def test_a_run_suspended_between_check_and_write_may_send_one_message_twice(
    postfix: Postfix, campaign_for: Folders
) -> None:
    """The README says so."""
    folder = campaign_for(postfix)
    folder.people(2)
    ended = taken_over(folder, "in the gap", 1)
    assert "Traceback" not in ended.stderr
    assert sent_twice(postfix, 2) == 1
