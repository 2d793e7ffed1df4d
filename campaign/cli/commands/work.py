"""`campaign work`: send what is due in campaigns of a shared ledger, together with other workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from campaign.cli.codes import DISCONNECTED, INTERRUPTED, OK, UNFINISHED, USAGE
from campaign.cli.options import DURATION, LOCATION
from campaign.cli.output import Output
from campaign.errors import (
    BrokenOff,
    ConnectFailed,
    LeaseHeld,
    LeaseLost,
    LedgerAway,
    LedgerFull,
    LedgerGivenUp,
    Problem,
    UserError,
)

if TYPE_CHECKING:
    from campaign.campaignfile.location import Location
    from campaign.delivery import Result
    from campaign.ledger.protocols import Claim
    from campaign.sending.workers.accounts import Accounts
    from campaign.sending.workers.drain import Drained

Returned = TypeVar("Returned")
_AGAIN = 1.0  # seconds until the next look, if other workers have claimed everything that is due


@click.command("work")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--all",
    "every",
    is_flag=True,
    help="Send all started campaigns of the ledger that --ledger names.",
)
@click.option("--ledger", type=LOCATION, help="With --all: the ledger, postgresql://host/database.")
@click.option(
    "--accounts",
    type=click.Path(path_type=Path, dir_okay=False),
    help="This machine's accounts file; by default the one that CAMPAIGN_ACCOUNTS names.",
)
@click.option("--drain", "seconds", type=DURATION, help="Work for at most this long, such as 45s.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@click.option("--verbose", "-v", is_flag=True, help="Print every attempt.")
def command(
    files: tuple[Path, ...],
    every: bool,
    ledger: Location | None,
    accounts: Path | None,
    seconds: float | None,
    quiet: bool,
    verbose: bool,
) -> int:
    """Send what is due in campaigns that `campaign send` has started, until nothing is left.

    Any number of workers may run at the same time, on any machines: the ledger, in PostgreSQL, distributes
    the messages and enforces the rate. Only the name and the ledger are read from FILE; everything that the
    messages need is in the ledger. The server, the login and the keys are this machine's own, from
    --accounts: `campaign guide machines` shows such a file.

    If this machine cannot send a campaign, it reports that, leaves the campaign to other workers, and sends
    the next one.

    The exit code is 0 if nothing is left or the time of --drain is over; 2 if a campaign cannot be sent from
    here; 5 if one was paused, if a named one was stopped, or if one cannot be sent from here but others
    were; 6 if a mail server or the ledger's server cannot be reached.
    """
    from campaign.sending.workers.accounts import load_accounts
    from campaign.sending.workers.folder import remove_dead

    if every == bool(files) or (files and ledger is not None):
        raise UserError("name the campaigns' files, or --all with --ledger")
    if every and ledger is None:
        raise UserError("--all needs --ledger postgresql://host/database")
    remove_dead()
    targets = [] if every else list(_named(files))
    worker = _Worker(load_accounts(accounts), Output(quiet=quiet, verbose=verbose), seconds)
    code = OK
    while True:
        idle = True
        for location, name in worker.sending(ledger) if ledger is not None and every else list(targets):
            found = worker.drain(location, name)
            idle = idle and not worker.sent
            if found == INTERRUPTED:
                return found
            if found != UNFINISHED or not every or worker.has_failed or worker.is_paused:
                code = max(code, found)
            if (worker.has_failed or not worker.is_sending) and (location, name) in targets:
                targets.remove((location, name))
        if worker.is_over or not (targets or (every and not idle)):
            return UNFINISHED if code == USAGE and worker.has_sent else code
        if idle:
            time.sleep(_AGAIN)


def _named(files: tuple[Path, ...]) -> Iterator[tuple[Location, str]]:
    from campaign.campaignfile.identity import identify

    for file in files:
        campaign = identify(file)
        yield campaign.ledger, campaign.name


def _sending(location: Location, accounts: Accounts) -> list[tuple[Location, str]]:
    from campaign.ledger import Ledger
    from campaign.sending.workers.drain import machines_of
    from campaign.sending.workers.equipment import answer_questions

    ledger = Ledger.open(location, "", create=False)
    try:
        answer_questions(ledger, accounts)
        return [(location, name) for name in machines_of(ledger).sending()]
    finally:
        ledger.close()


class _Worker:
    """Drains one campaign after another, until its time is over, and shows what happens."""

    def __init__(self, accounts: Accounts, output: Output, seconds: float | None) -> None:
        self._accounts = accounts
        self._output = output
        self._until = None if seconds is None else time.monotonic() + seconds
        self.sent = 0  # attempts of the last drain
        self.has_sent = False  # whether there was any attempt
        self.has_failed = False  # this machine cannot send the campaign that was drained last
        self._left: set[tuple[Location, str]] = set()  # campaigns that this machine could not send
        self.is_sending = False  # state of the campaign that was drained last
        self.is_paused = False  # the same; with --all, a pause is a failure, a person's `stop` is not
        self._reached = False  # whether the ledger's server has ever answered

    @property
    def is_over(self) -> bool:
        return self._until is not None and time.monotonic() >= self._until

    def attempted(self, claim: Claim, result: Result) -> None:
        self.sent += 1
        self.has_sent = True
        if self._output.verbose:
            self._output.note(f"{result.status:<9} {claim.recipient.email}  {result.reply}")

    def waiting(self, seconds: float, why: str) -> None:
        if why:
            self._output.waiting(seconds, why)

    def without_window(self, why: str) -> None:
        self._output.without_window(why)

    def sending(self, location: Location) -> list[tuple[Location, str]]:
        """Return the campaigns of a ledger that have something due, and that can be sent from here.

        Raises LedgerAway, LedgerGivenUp, and BrokenOff if the ledger's disk is full.
        """
        try:
            found = self._waited(lambda: _sending(location, self._accounts))
        except LedgerFull as full:
            raise BrokenOff(str(full)) from full
        return [one for one in found if one not in self._left]

    def drain(self, location: Location, name: str) -> int:
        """Drain a campaign once, and return the exit code. Raises LedgerAway, LedgerGivenUp.

        Other errors are printed, so that the next campaign can be sent.
        """
        try:
            code = self._waited(lambda: self._drain(location, name))
        except (LedgerAway, LedgerGivenUp):
            raise
        except UserError as error:
            self._output.problems(error.problems)
            code = UNFINISHED if isinstance(error, LedgerFull) else USAGE
            self.has_failed = True
        except (BrokenOff, ConnectFailed) as error:
            self._output.problems([Problem(str(error))])
            code, self.has_failed = UNFINISHED if isinstance(error, BrokenOff) else DISCONNECTED, True
        if self.has_failed:
            self._left.add((location, name))
        return code

    def _waited(self, act: Callable[[], Returned]) -> Returned:
        """Call `act`; if the ledger's server has answered before and is now away, wait for it."""
        from campaign.cli.away import patiently

        done = patiently(act, self._output) if self._reached else act()
        self._reached = True
        return done

    def _drain(self, location: Location, name: str) -> int:
        from campaign.cli.signals import interruptible
        from campaign.ledger import Ledger
        from campaign.sending.workers.drain import drain

        self.sent, self.is_sending, self.is_paused, self.has_failed = 0, True, False, False
        left = None if self._until is None else max(0.0, self._until - time.monotonic())
        ledger = Ledger.open(location, name, create=False)
        self._reached = True
        try:
            drained = drain(ledger, self._accounts, self, seconds=left, sending=interruptible)
        except LeaseHeld:
            return OK  # it is being enrolled again
        except LeaseLost as lost:
            self._output.problems([Problem(str(lost))])
            return OK
        finally:
            ledger.close()
        return self._finish(name, drained)

    def _finish(self, name: str, drained: Drained) -> int:
        from campaign.ledger.machines import State
        from campaign.sending.dispatch import Ending
        from campaign.wording import counted

        self.is_sending = drained.state is State.SENDING
        self.is_paused = drained.state is State.PAUSED
        if self.sent or not self.is_sending:
            self._output.lines([f"{name}: {counted(self.sent, 'attempt')}; {drained.state}"])
        ending = drained.stop.ending
        if ending is Ending.DISCONNECTED:
            self._output.problems([Problem(drained.stop.why)])
            self.has_failed = True
            return DISCONNECTED
        if ending is Ending.PAUSED:
            self._output.problems([Problem(drained.stop.why)])
        if drained.state in (State.PAUSED, State.STOPPED):
            return UNFINISHED
        if ending is Ending.INTERRUPTED and self.is_sending and not self.is_over:
            return INTERRUPTED
        return OK
