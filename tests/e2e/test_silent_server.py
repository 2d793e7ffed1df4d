"""A PostgreSQL that accepts everything and does not answer, as if its disk hung: signals end the wait."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign.model import Status
from tests.e2e.machines import Machines
from tests.servers.postfix import Postfix
from tests.servers.postgresql import PostgreSQL
from tests.servers.proxy import Proxy

_SOON = 9  # seconds; connecting, or psycopg's cancelling of a statement, would take ten or more


@pytest.fixture
def folder(postgresql: PostgreSQL, postfix: Postfix, tmp_path: Path) -> Iterator[Machines]:
    """A campaign for workers, with a distant mail server: messages are in flight for long."""
    with Proxy(postfix.port, delay=0.05) as proxy:
        made = Machines(tmp_path, postfix, postgresql.ledger(), smtp={"port": proxy.port})
        yield made
        made.close()
    postgresql.drop(made.place)


def test_two_signals_end_a_worker(folder: Machines, postgresql: PostgreSQL) -> None:
    folder.people(100)
    folder.begin()
    [worker] = folder.workers(1)
    folder.wait_for(Status.ACCEPTED, 5)
    with postgresql.silent():
        worker.send_signal(signal.SIGTERM)
        assert worker.stderr is not None
        told = iter(worker.stderr.readline, "")
        assert any("stopping" in line for line in told)
        worker.send_signal(signal.SIGTERM)
        _, errors = worker.communicate(timeout=30)
    assert (worker.returncode, "Traceback" in errors) == (130, False), errors


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["status", "campaign.yaml", "--watch"], 130), (["send", "campaign.yaml", "--yes"], 5)],
)
def test_one_signal_ends_a_watching_send(
    folder: Machines, postgresql: PostgreSQL, arguments: list[str], code: int
) -> None:
    folder.people(2)
    folder.begin()
    watching = folder.start(*arguments)
    assert watching.stdout is not None
    assert watching.stdout.readline()
    with postgresql.silent():
        time.sleep(4)  # it checks every two seconds
        watching.send_signal(signal.SIGINT)
        _, errors = watching.communicate(timeout=_SOON)
    assert (watching.returncode, "Traceback" in errors) == (code, False), errors
