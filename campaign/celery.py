"""Celery's part: it starts drains, and starts them again; the ledger is the truth.

    celery -A campaign.celery worker       drains what campaigns have due, as `campaign work --drain` does
    celery -A campaign.celery beat         sees to it every 30 seconds that there are drains

A drain carries a campaign's name and its generation, and nothing secret: where the ledger is, and the
accounts, a worker is told by its own environment (CAMPAIGN_BROKER, CAMPAIGN_LEDGER, CAMPAIGN_ACCOUNTS).
It is short, and never starts the next: `campaign send` and beat ask for more, so that a broker that loses
everything stops nothing. What is asked for expires soon: none pile up while no worker is there. One too
many returns at once, and one that is delivered twice is one more worker.
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
_EXPIRES = 30  # seconds after which a drain that nobody took is not wanted any more
# Redis gives a task to another worker when it was not acknowledged for so long: longer than any drain.
_VISIBILITY = 300

_log = get_task_logger(__name__)


def _made(broker: str | None) -> Celery:
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


app = _made(os.environ.get(BROKER))


class _Told:
    """Is told what a drain does, and counts it."""

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
    """Send what a campaign has due, for as long as it says; at once nothing where that is not needed."""
    with _logged(campaign), _opened(campaign) as ledger:
        wanted = _wanted(ledger)
        if wanted is None or wanted.missing <= 0 or wanted.generation != generation:
            return
        remove_dead()
        told = _Told()
        result = drained(ledger, load_accounts(None), told, seconds=wanted.seconds, generation=generation)
        _log.info("%s: %d attempts; %s", campaign, told.attempts, result.state)
        if result.stop.ending in (Ending.PAUSED, Ending.DISCONNECTED):
            _log.error("%s: %s", campaign, result.stop.why)


@app.task(name="campaign.top_up")
def top_up() -> None:
    """Ask for the drains that the campaigns of the ledger lack."""
    with _logged("beat"), _opened("") as ledger:
        for name in list(machines_of(ledger).sending()):
            with _logged(name), _opened(name) as one:
                ask(app, name, one)


@control_command()
def answer_questions(state: object) -> None:
    """Answer what workers are asked: `campaign check --workers` has called."""
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
    """Log what a person can mend, in words; nobody reads how a task ended."""
    try:
        yield
    except CampaignError as error:
        words = str(error)
        _log.error(words if words.startswith(what) else f"{what}: {words}")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """So many drains are missing of a campaign; each works for so many seconds."""

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
    """Ask for the drains that a campaign lacks; return whether the broker could be told."""
    wanted = _wanted(ledger)
    if wanted is None:
        return True
    try:
        for _ in range(wanted.missing):
            arguments = (name, wanted.generation)
            asking.send_task("campaign.drain", arguments, expires=_EXPIRES, retry=False)
    except (OperationalError, OSError) as error:
        _log.warning("the broker cannot be told: %s", error)
        return False
    return True


def call(asking: Celery) -> bool:
    """Have the broker's workers look for questions; return whether the broker could be told."""
    try:
        asking.control.broadcast("answer_questions")
    except (OperationalError, OSError):
        return False
    return True


def asker(broker: str) -> Celery:
    """Return what asks a broker for drains, for whoever is no worker."""
    return _made(broker)
