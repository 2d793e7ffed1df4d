"""Sends a worker's share of a campaign: claims, renders and sends until nothing is due or its time is up.

    drain(ledger, accounts, …) -> Drained      runs once, on any machine, beside any number of others

It takes what it needs from the ledger (`bundle.py`) and from its own file of accounts. It does nothing if
the campaign is not `sending`. A reason to pause stops all workers: a breaker that trips here or on the
results of all workers together, a quota, messages that cannot be made. A worker notices a person's `stop`
within a second; new intents fail at once.
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
from campaign.ledger.protocols import Run
from campaign.ledger.verdicts import WINDOW
from campaign.sending.account import logins_of
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

_LOOK = 1.0  # seconds between two checks of the campaign's state
_ENROLLING = 10.0  # seconds that `send` may take to give up the lease after starting a campaign


@dataclass(frozen=True, slots=True)
class Drained:
    """Why a drain ended, and the campaign's state after it."""

    stop: Stop
    state: State


def machines_of(ledger: Ledger) -> Machines:
    """Return the part of a ledger that machines share. Raises UserError if the ledger is a file."""
    machines = ledger.machines
    if machines is None:
        what = "workers share a ledger in PostgreSQL (`ledger: postgresql://…`), and this one is a file"
        raise UserError(ledger.problem(what))
    return machines


def bundle_of(machines: Machines, standing: Standing, name: str) -> Bundle | None:
    """Return the bundle of a campaign that is sending, None if it was restarted since.

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
    """Send what is due until nothing is left, or for `seconds` seconds; return why it ended.

    `generation`: return at once if the campaign was restarted since. `sending` returns a context that is
    entered while messages are sent, and may interrupt. Raises UserError with what this machine lacks to
    send it; LeaseHeld while the campaign is being enrolled; LeaseLost.
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
        stop = _drain_generation(ledger, machines, standing, accounts, listener, until, sending)
        if stop is not None:
            return Drained(stop, machines.standing().state)


def _drain_generation(
    ledger: Ledger,
    machines: Machines,
    standing: Standing,
    accounts: Accounts,
    listener: Listener,
    until: float | None,
    sending: Callable[[Sender], AbstractContextManager[None]],
) -> Stop | None:
    """Send what is due in one generation; return why that ended, or None if it was over before."""

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
        campaign, logins = unpacked.campaign, logins_of(unpacked.campaign)
        with (
            leased(campaign, ledger, _ENROLLING, listener.waiting, shared=True) as run,
            closing(Ahead(unpacked.renderer)) as drafted,
        ):
            # From now on, a restart must wait for this run.
            if is_over():
                return None
            renders = naming.renders(_renders(unpacked, drafted))
            sender = Sender(campaign, renders, run, logins, listener)
            drafted.follow(sender.dispatch.upcoming)
            with (
                _watched(
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
    # Others may reach a server that this machine cannot reach. But a refused login must not be tried again
    # by restarted workers: that locks the account for all.
    if stop.ending is Ending.PAUSED or stop.login_refused:
        machines.end(State.PAUSED, stop.why, standing.generation)
    machines.finish()
    return stop


def _renders(unpacked: Unpacked, drafted: Ahead) -> Renders:
    if unpacked.shared is None:
        return drafted
    return SharedFiles(drafted, unpacked.renderer, unpacked.shared)


@contextmanager
def _watched(
    sender: Sender,
    campaign: CampaignFile,
    run: Run,
    machines: Machines,
    generation: int,
    until: float | None,
    answer: Callable[[], None],
) -> Iterator[None]:
    """Stop the sender at `until`, when somebody stops the campaign, or when the breaker trips.

    `until` is in monotonic seconds. The breaker judges the results of all workers. Meanwhile `answer` is
    called to answer questions to workers.
    """
    over = threading.Event()
    failures: list[Exception] = []

    def watch() -> None:
        try:
            look()
        except Exception as failure:  # without this thread nothing would stop the sender
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
                continue  # the ledger's server is away: the sender waits for it, or ends

    watching = threading.Thread(target=watch, name="watching", daemon=True)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()
    if failures:
        raise failures[0]
