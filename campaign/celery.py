"""The Celery tasks that start workers: a drain sends what a campaign has due, for a limited time.

    celery -A campaign.celery worker       runs drains, as `campaign work --drain` does
    celery -A campaign.celery beat         requests missing drains every 30 seconds

All state is in the ledger. A drain task contains only the campaign's name and its generation. A worker
finds the ledger and the accounts through its own environment (CAMPAIGN_BROKER, CAMPAIGN_LEDGER,
CAMPAIGN_ACCOUNTS). A drain never starts the next one: `campaign send` and beat request more, so a broker
that loses all tasks stops nothing. Tasks expire soon, so none pile up while there are no workers. A drain
that is not needed returns at once; one that is delivered twice is one more worker.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from campaign.campaignfile.location import PostgresLocation
from campaign.delivery import Result
from campaign.errors import CampaignError, UserError
from campaign.ledger import Ledger
from campaign.ledger.machines import State
from campaign.ledger.protocols import Claim
from campaign.sending.dispatch import Ending
from campaign.sending.workers.accounts import load_accounts
from campaign.sending.workers.drain import bundle_of, machines_of
from campaign.sending.workers.drain import drain as drained
from campaign.sending.workers.equipment import answer_questions as answered
from campaign.sending.workers.folder import remove_dead

try:
    from celery import Celery
    from celery.utils.log import get_task_logger
    from celery.worker.control import control_command
    from kombu.exceptions import OperationalError
except ImportError:
    raise UserError("workers that a broker starts need Celery: pip install 'campaign[celery]'") from None

BROKER = "CAMPAIGN_BROKER"
LEDGER = "CAMPAIGN_LEDGER"
_BEAT = 30.0  # seconds
_EXPIRES = 30  # seconds after which an unclaimed drain expires
# Seconds after which Redis redelivers a task that was not acknowledged: longer than any drain.
_VISIBILITY = 300

_log = get_task_logger(__name__)


def _make_app(broker: str | None) -> Celery:
    app = Celery("campaign", broker=broker)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_default_queue="campaign",
        task_ignore_result=True,
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        broker_connection_retry_on_startup=True,
        broker_connection_timeout=4,
        broker_transport_options={"visibility_timeout": _VISIBILITY},
        beat_schedule={
            "top-up": {"task": "campaign.top_up", "schedule": _BEAT, "options": {"expires": _EXPIRES}}
        },
    )
    return app


app = _make_app(os.environ.get(BROKER))


class _DrainLog:
    """Counts the attempts of a drain, and logs its waits."""

    def __init__(self) -> None:
        self.attempts = 0

    def attempted(self, claim: Claim, result: Result) -> None:
        self.attempts += 1

    def waiting(self, seconds: float, why: str) -> None:
        if why:
            _log.info("nothing is sent for %.0f s: %s", seconds, why)

    def without_window(self, why: str) -> None:
        _log.info("messages go one at a time: %s", why)


@app.task(name="campaign.drain")
def drain(campaign: str, generation: int) -> None:
    """Send what a campaign has due, for its `drain` time; return at once if no more drains are needed."""
    with _logged(campaign), _opened(campaign) as ledger:
        wanted = _wanted(ledger)
        if wanted is None or wanted.missing <= 0 or wanted.generation != generation:
            return
        remove_dead()
        drain_log = _DrainLog()
        result = drained(
            ledger, load_accounts(None), drain_log, seconds=wanted.seconds, generation=generation
        )
        _log.info("%s: %d attempts; %s", campaign, drain_log.attempts, result.state)
        if result.stop.ending in (Ending.PAUSED, Ending.DISCONNECTED):
            _log.error("%s: %s", campaign, result.stop.why)


@app.task(name="campaign.top_up")
def top_up() -> None:
    """Request the missing drains of all campaigns in the ledger."""
    with _logged("beat"), _opened("") as ledger:
        for name in list(machines_of(ledger).sending()):
            with _logged(name), _opened(name) as one:
                ask(app, name, one)


@control_command()
def answer_questions(state: object) -> None:
    """Answer the questions that `campaign check --workers` has left in the ledger."""
    with _logged("check --workers"), _opened("") as ledger:
        answered(ledger, load_accounts(None))


@contextmanager
def _opened(name: str) -> Iterator[Ledger]:
    """Open the ledger of this worker's environment, for a campaign."""
    ledger = Ledger.open(PostgresLocation(env=LEDGER), name, create=False)
    try:
        yield ledger
    finally:
        ledger.close()


@contextmanager
def _logged(what: str) -> Iterator[None]:
    """Log errors that a person can fix, since nobody reads a task's result."""
    try:
        yield
    except CampaignError as error:
        words = str(error)
        _log.error(words if words.startswith(what) else f"{what}: {words}")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """How many drains of a campaign are missing, and for how many seconds each of them works."""

    missing: int
    seconds: float
    generation: int


def _wanted(ledger: Ledger) -> _Wanted | None:
    machines = machines_of(ledger)
    standing = machines.standing()
    bundle = bundle_of(machines, standing, ledger.name) if standing.state is State.SENDING else None
    if bundle is None:
        return None
    return _Wanted(bundle.drains - machines.live(), bundle.drain, standing.generation)


def ask(asking: Celery, name: str, ledger: Ledger) -> bool:
    """Request the missing drains of a campaign; return whether the broker could be reached."""
    wanted = _wanted(ledger)
    if wanted is None:
        return True
    try:
        for _ in range(wanted.missing):
            arguments = (name, wanted.generation)
            asking.send_task("campaign.drain", arguments, expires=_EXPIRES, retry=False)
    except (OperationalError, OSError) as error:
        _log.warning("the broker cannot be reached: %s", error)
        return False
    return True


def call(asking: Celery) -> bool:
    """Let the broker's workers look for questions; return whether the broker could be reached."""
    try:
        asking.control.broadcast("answer_questions")
    except (OperationalError, OSError):
        return False
    return True


def asker(broker: str) -> Celery:
    """Return a Celery app that requests drains from a broker, for a process that is not a worker."""
    return _make_app(broker)
