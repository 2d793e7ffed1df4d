"""Celery starts the drains: whatever happens to it or its broker, nobody is mailed twice or lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from campaign.celery import asker
from campaign.model import Status
from tests.e2e.folder import kill, until
from tests.e2e.machines import Machines, ended
from tests.servers.brokers import RabbitMQ, Redis
from tests.servers.postfix import Postfix
from tests.servers.postgresql import PostgreSQL

Workers = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module", params=[Redis, RabbitMQ], ids=["redis", "rabbitmq"])
def broker(request: pytest.FixtureRequest) -> Iterator[Redis | RabbitMQ]:
    """A broker of each kind."""
    started: Redis | RabbitMQ = request.param()
    yield started
    started.remove()


@pytest.fixture
def folder(
    postgresql: PostgreSQL, postfix: Postfix, tmp_path: Path, broker: Redis | RabbitMQ
) -> Iterator[Machines]:
    """A campaign whose workers Celery starts, and a broker without tasks of earlier tests."""
    broker.purge()
    workers = {"count": 2, "drain": "10s", "broker_env": "CAMPAIGN_BROKER"}
    made = Machines(tmp_path, postfix, postgresql.ledger(), workers=workers, rate="40/second")
    made.env |= {"CAMPAIGN_BROKER": broker.url, "CAMPAIGN_LEDGER": made.place.url}
    yield made
    made.close()
    postgresql.drop(made.place)


@pytest.fixture
def celery() -> Iterator[Workers]:
    """Starts `celery -A campaign.celery`, by default a worker, each in its own process group."""
    started: list[subprocess.Popen[str]] = []

    def start(folder: Machines, *command: str) -> subprocess.Popen[str]:
        options = ["--concurrency", "2", "--without-mingle", "--without-gossip"]
        command = command or ("worker", *options)
        with (folder.folder / "celery.log").open("a") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "campaign.celery", *command, "--loglevel", "INFO"],
                cwd=folder.folder,
                env=folder.env,
                stdout=said,
                stderr=said,
                text=True,
                start_new_session=True,
            )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_celery_workers_are_asked_what_they_lack(folder: Machines, celery: Workers) -> None:
    folder.people(1)
    worker = celery(folder)
    log = folder.folder / "celery.log"
    until(lambda: " ready." in log.read_text())
    folder.accounts("another", smtp={"host": "localhost"})  # it is read for each question
    check = folder.run("check", "campaign.yaml", "--workers", "--json")
    assert check.returncode == 2, check.stderr
    [answer] = json.loads(check.stdout)[-1]["workers"]
    assert (answer["pid"], answer["missing"]) == (worker.pid, ["there is no account 'localhost'"])


def test_killed_drains_are_started_again(
    folder: Machines, celery: Workers, broker: Redis | RabbitMQ, postfix: Postfix
) -> None:
    everybody = folder.people(160)
    first = celery(folder)
    watching = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_for(Status.ACCEPTED, 40)
    os.killpg(first.pid, signal.SIGKILL)  # the whole group: its tasks are lost, or delivered again
    second = celery(folder)
    folder.wait_for(Status.ACCEPTED, 80)
    broker.kill()  # and the tasks that it had
    broker.start()
    [code] = ended([watching], timeout=150)
    counts = folder.counts()
    assert code == (4 if counts.get("in_doubt") else 0), (folder.folder / "celery.log").read_text()
    assert counts["accepted"] + counts.get("in_doubt", 0) == 160
    assert counts.get("in_doubt", 0) <= 2  # one for each connection of the killed drains
    got = [mail.recipient for mail in postfix.wait_delivered(counts["accepted"])]
    assert len(set(got)) == len(got)
    assert set(got) <= set(everybody)
    second.terminate()
    until(lambda: second.poll() is not None)


def test_a_broker_may_lose_or_repeat_drains(
    folder: Machines, celery: Workers, broker: Redis | RabbitMQ, postfix: Postfix
) -> None:
    everybody = folder.people(80)
    watching = folder.start("send", "campaign.yaml", "--yes")
    until(lambda: broker.queued() == 2)
    broker.purge()
    app, (generation,) = asker(broker.url), folder.rows("SELECT generation FROM campaigns")[0]
    for _ in range(2):
        app.send_task("campaign.drain", ("test", generation), task_id="the same")
    worker = celery(folder)
    folder.wait_for(Status.ACCEPTED, 20)
    broker.purge()
    assert ended([watching]) == [0], (folder.folder / "celery.log").read_text()
    assert folder.counts() == {"accepted": 80}
    assert sorted(mail.recipient for mail in postfix.wait_delivered(80)) == sorted(everybody)
    worker.terminate()
    until(lambda: worker.poll() is not None)


@pytest.mark.parametrize("broker", [Redis], indirect=True)
def test_beat_starts_drains_after_the_process_that_began_the_campaign_died(
    folder: Machines, celery: Workers, broker: Redis, postfix: Postfix
) -> None:
    everybody = folder.people(40)
    watching = folder.start("send", "campaign.yaml", "--yes")
    until(lambda: broker.queued() == 2)
    kill(watching)
    broker.purge()  # none of its tasks are left
    celery(folder)
    celery(folder, "beat", "--schedule", "beat")
    until(lambda: folder.state() == "idle", timeout=90)
    assert folder.counts() == {"accepted": 40}
    assert sorted(mail.recipient for mail in postfix.wait_delivered(40)) == sorted(everybody)


def test_a_campaign_that_cannot_be_sent_is_logged_and_blocks_no_other(
    folder: Machines, broker: Redis | RabbitMQ
) -> None:
    folder.people(1)
    folder.begin()
    # Another campaign, whose bundle a later release has written, comes first.
    folder.change("UPDATE campaigns SET name = 'broken', bundle = 'x'")
    watching = folder.start("send", "campaign.yaml", "--yes")
    until(lambda: folder.rows("SELECT 1 FROM campaigns WHERE name = 'test' AND state = 'sending'"))
    kill(watching)
    folder.change("INSERT INTO blobs VALUES ('x', '{\"version\": 99}')")
    broker.purge()
    assert "broken: its bundle has version 99" in task(folder, "top_up()")
    assert broker.queued() == 2
    folder.change("DELETE FROM blobs WHERE sha256 = 'x'")
    for call in ("top_up()", "drain('broken', 1)"):
        assert "broken: its bundle is not in the ledger; stop it" in task(folder, call)
    folder.accounts("another", smtp={"host": "localhost"})
    assert "test: accounts.yaml: there is no account 'localhost'" in task(folder, "drain('test', 1)")
    folder.accounts(smtp={**folder.campaign["smtp"], "ca_file": None})
    assert "comes from an authority that this machine does not know" in task(folder, "drain('test', 1)")


def task(folder: Machines, call: str) -> str:
    """Run a task as a worker would, and return what it logs."""
    program = f"import logging, campaign.celery; logging.basicConfig(); campaign.celery.{call}"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder.folder, env=folder.env, capture_output=True, text=True
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    return done.stderr
