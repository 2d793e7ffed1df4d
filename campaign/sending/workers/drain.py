"""A worker's share of a campaign: it claims, renders and sends until nothing is due, or its time is over.

    drain(ledger, accounts, …) -> Drained      once, on any machine, beside any number of others

What it needs is in the ledger (`bundle.py`) and in its own file of accounts. It starts nothing where the
campaign is not `sending`. What stops one stops all: a breaker that trips here, or by what all of them
have seen together, a quota, messages that cannot be made. A person's `stop` is noticed within a second;
intents stop to hold at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass

from campaign.campaignfile.models import CampaignFile
from campaign.errors import ConnectFailed, LeaseLost, UserError
from campaign.ledger import Ledger
from campaign.ledger.machines import Machines, Standing, State
from campaign.ledger.protocols import WINDOW, Run
from campaign.sending.account import login_of
from campaign.sending.ahead import Ahead
from campaign.sending.breaker import Breaker
from campaign.sending.dispatch import Ending, Stop
from campaign.sending.lease import leased
from campaign.sending.sender import Listener, Sender
from campaign.sending.work import Renders
from campaign.sending.workers.accounts import Accounts
from campaign.sending.workers.bundle import Bundle, read
from campaign.sending.workers.equipment import answer_questions
from campaign.sending.workers.folder import private_folder, unwritable
from campaign.sending.workers.naming import Naming
from campaign.sending.workers.sharedfiles import SharedFiles
from campaign.sending.workers.unpacking import Unpacked, unpack

_LOOK = 1.0  # seconds between two looks at what others do
_ENROLLING = 10.0  # seconds that `send` may take to let go of the campaign that it has begun


@dataclass(frozen=True, slots=True)
class Drained:
    """Why a drain ended, and where the campaign stands then."""

    stop: Stop
    state: State


def machines_of(ledger: Ledger) -> Machines:
    """Return what machines share of a campaign. Raises UserError where its ledger is a file."""
    machines = ledger.machines
    if machines is None:
        what = "workers share a ledger in PostgreSQL (`ledger: postgresql://…`), and this one is a file"
        raise UserError(ledger.problem(what))
    return machines


def bundle_of(machines: Machines, standing: Standing, name: str) -> Bundle | None:
    """Return the bundle of a campaign that is sending, None where it was begun anew since.

    Raises UserError.
    """
    try:
        document = machines.blob(standing.bundle)
        if document is None:
            raise UserError(f"{name}: its bundle is not in the ledger; stop it, and send it again")
        return read(document, name)
    except UserError:
        if machines.standing().generation != standing.generation:
            return None
        raise


def drain(
    ledger: Ledger,
    accounts: Accounts,
    listener: Listener,
    *,
    seconds: float | None = None,
    generation: int | None = None,
    sending: Callable[[Sender], AbstractContextManager[None]] = lambda sender: nullcontext(),
) -> Drained:
    """Send what is due until nothing is left, or for so many seconds; return why it ended.

    `generation`: return at once where the campaign was begun anew since. `sending` is entered while
    messages are sent, and may interrupt. Raises UserError, naming it, for what this machine cannot send;
    LeaseHeld while the campaign is being enrolled; LeaseLost.
    """
    machines = machines_of(ledger)
    answer_questions(ledger, accounts)
    until = None if seconds is None else time.monotonic() + seconds
    while True:
        standing = machines.standing()
        if standing.state is not State.SENDING or generation not in (None, standing.generation):
            return Drained(Stop(Ending.DONE), standing.state)
        if machines.finish():
            return Drained(Stop(Ending.DONE), State.IDLE)
        stop = _drained(ledger, machines, standing, accounts, listener, until, sending)
        if stop is not None:
            return Drained(stop, machines.standing().state)


def _drained(
    ledger: Ledger,
    machines: Machines,
    standing: Standing,
    accounts: Accounts,
    listener: Listener,
    until: float | None,
    sending: Callable[[Sender], AbstractContextManager[None]],
) -> Stop | None:
    """Send what is due of one generation; return why that ended, or None where it was over before."""

    def is_over() -> bool:
        return machines.standing().generation != standing.generation

    bundle = bundle_of(machines, standing, ledger.name)
    if bundle is None:
        return None
    with private_folder() as folder, Naming(bundle, accounts, folder) as naming:
        try:
            unpacked = unpack(bundle, machines.blob, accounts, ledger.secret, folder)
        except OSError as error:
            raise unwritable(error) from error
        except UserError:
            if is_over():
                return None
            raise
        campaign, login = unpacked.campaign, login_of(unpacked.campaign)
        with (
            leased(campaign, ledger, _ENROLLING, listener.waiting, shared=True) as run,
            closing(Ahead(unpacked.renderer)) as drafted,
        ):
            # Whoever begins it anew must wait for this run from now on.
            if is_over():
                return None
            renders = naming.renders(_renders(unpacked, drafted))
            sender = Sender(campaign, renders, run, login, listener)
            drafted.follow(sender.dispatch.upcoming)
            with (
                _minded(
                    sender,
                    campaign,
                    run,
                    machines,
                    standing.generation,
                    until,
                    lambda: answer_questions(ledger, accounts),
                ),
                sending(sender),
            ):
                stop = sender.send()
            if stop.ending is Ending.UNEQUIPPED:
                raise UserError(stop.why)
    # A server that this machine cannot reach may be reached from others; a login that is tried again and
    # again, as where workers are restarted, locks the account of all.
    if stop.ending is Ending.PAUSED or stop.login_refused:
        machines.end(State.PAUSED, stop.why, standing.generation)
    machines.finish()
    return stop


def _renders(unpacked: Unpacked, drafted: Ahead) -> Renders:
    if unpacked.shared is None:
        return drafted
    return SharedFiles(drafted, unpacked.renderer, unpacked.shared)


@contextmanager
def _minded(
    sender: Sender,
    campaign: CampaignFile,
    run: Run,
    machines: Machines,
    generation: int,
    until: float | None,
    answer: Callable[[], None],
) -> Iterator[None]:
    """Stop the sender where its time is over, somebody says so, or all workers together see too much.

    Its time is over at `until`, in monotonic seconds. Meanwhile `answer` answers what workers are asked.
    """
    over = threading.Event()
    failures: list[Exception] = []

    def mind() -> None:
        try:
            look()
        except Exception as failure:  # nothing else would stop the sender now
            failures.append(failure)
            sender.interrupt()

    def look() -> None:
        while not over.wait(_LOOK):
            if until is not None and time.monotonic() > until:
                sender.interrupt()
            try:
                standing = machines.standing()
                trip = Breaker.of(campaign, run.recent_verdicts(WINDOW)).judged()
                if trip is not None and machines.end(State.PAUSED, trip.why, generation):
                    run.trip(time.time_ns(), take_back=trip.by_refusals)
                stopped = standing.state is not State.SENDING or standing.generation != generation
                if stopped or trip is not None:
                    sender.interrupt()
                answer()
            except (UserError, LeaseLost, ConnectFailed):
                continue  # the ledger is away: the sender itself waits for it, or ends

    minding = threading.Thread(target=mind, name="minding", daemon=True)
    minding.start()
    try:
        yield
    finally:
        over.set()
        minding.join()
    if failures:
        raise failures[0]
