"""Sends what is due until nothing is left, with one thread for each connection.

    Sender ── Lane (a thread: claim, render, submit, intend, release, settle)
           ├─ Lane …
           └─ Dispatch (what they share: claims, pace, limit, when to stop)

A connection that cannot be had, or gets nowhere, ends its own thread; the others go on, and only
when the last one has failed is the run disconnected. While a thread waits to open a session it holds
no row, so that the others can send everything meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from campaign import clock
from campaign.campaignfile.models import CampaignFile
from campaign.delivery import Result
from campaign.errors import ConnectFailed, LeaseLost, LedgerBusy, LedgerFull
from campaign.ledger.protocols import WINDOW, Claim, Run
from campaign.model import SECOND
from campaign.sending.account import load_pace, scope_of
from campaign.sending.breaker import Breaker
from campaign.sending.connection import LoginRefused, Opener, Patience, Waits
from campaign.sending.dispatch import Dispatch, Ending, Stop
from campaign.sending.gate import Gate
from campaign.sending.lane import Lane, Shared
from campaign.sending.lease import HEARTBEAT
from campaign.sending.outlook import Outlook
from campaign.sending.pacing import LocalPace
from campaign.sending.sharedgate import SharedGate
from campaign.sending.slices import SLICE
from campaign.sending.work import Renders
from campaign.smtp.auth import Login
from campaign.wording import counted

_HEARTBEAT = int(HEARTBEAT * SECOND)
_LONG_LOCK = 60.0  # seconds for which a locked ledger is told of, and then again
_GRACE = 2.0  # seconds that a thread has to end in when the run must stop at once


class Listener(Protocol):
    """Who is told what a run does, from any of its threads."""

    def attempted(self, claim: Claim, result: Result) -> None:
        """An attempt at a row has ended so; the ledger has it, or keeps it while its file is locked."""

    def waiting(self, seconds: float, why: str) -> None:
        """Nothing is sent for so long."""

    def without_window(self, why: str) -> None:
        """The server takes no window (`smtp.window`), and messages go one at a time."""


class Sender:
    """Sends what is due in the ledger until nothing is left, or something stops it."""

    def __init__(
        self,
        campaign: CampaignFile,
        renderer: Renders,
        run: Run,
        login: Callable[[], Login | None],
        listener: Listener,
        *,
        limit: int | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.campaign = campaign
        self._run = run
        self._pace = LocalPace(campaign.windows)
        self._breaker = self._armed_breaker()
        # A rate that machines share is booked in the ledger.
        self._slots = run.slots(campaign.windows) if campaign.windows else None
        gate = Gate(self._pace) if self._slots is None else SharedGate(self._pace, self._slots)
        self.dispatch = Dispatch(run, gate, campaign.retry, self._breaker, limit=limit)
        self._waits = waits = Waits(listener.waiting)
        ended, without_window = self.dispatch.ended, listener.without_window
        opener = Opener(campaign.smtp, login, patience, waits, ended, without_window)
        self._opened = threading.Event()  # a first session
        self._shared = Shared(
            campaign, renderer, run, self.dispatch, opener, waits, listener.attempted, self._opened
        )
        self._lock = threading.Lock()
        self._working = 0  # threads
        self._failure: BaseException | None = None
        self._beaten = -_HEARTBEAT  # `clock.steady` of the last heartbeat

    def _armed_breaker(self) -> Breaker:
        """Return the breaker, with what earlier runs of the campaign have seen."""
        breaker = Breaker.of(self.campaign, self._run.recent_verdicts(WINDOW))
        if (trip := breaker.judged()) is None:
            return breaker
        # A run died before it could say so.
        self._run.trip(time.time_ns(), take_back=trip.by_refusals)
        return Breaker.of(self.campaign, ())

    def send(self) -> Stop:
        """Send, and return why it ended. The run that it was given holds the lease.

        Raises what a thread could not handle: LeaseLost, or a bug.
        """
        try:
            return self._send()
        finally:
            if self._slots is not None:
                self._slots.close()

    def _send(self) -> Stop:
        load_pace(self._pace, scope_of(self.campaign), self.campaign.windows, self._run, clock.moment())
        self._beat()
        # They may hang in the system's connect(); who must stop at once does not wait for that.
        count = max(1, self.campaign.smtp.connections)
        lanes = [threading.Thread(target=self._lane, daemon=True) for _ in range(count)]
        self._working = 1
        lanes[0].start()
        at_once = self.dispatch.at_once
        while lanes[0].is_alive() and not at_once.is_set() and not self._opened.wait(SLICE):
            self._beat()
        # The others follow once a login has worked: one wrong password is one failed login.
        if self._opened.is_set():
            for lane in lanes[1:]:
                with self._lock:
                    self._working += 1
                lane.start()
        hurried = 0.0
        while any(lane.is_alive() for lane in lanes) and hurried < _GRACE:
            next(lane for lane in lanes if lane.is_alive()).join(SLICE)
            hurried += SLICE if self.dispatch.at_once.is_set() else 0
            self._beat()
            self._behind()
        self._run.unclaim(self.dispatch.unclaimed())
        if self._failure is None and self.dispatch.stopped is None and self._breaker.sound():
            self._run.release_held()
        self._write_the_rest()
        if self._failure is not None:
            raise self._failure
        return self.dispatch.outcome()

    def _write_the_rest(self) -> None:
        """Wait while another process has the ledger locked: answers that were read must be in it."""
        while (left := self._behind()) and not self.dispatch.at_once.is_set():
            why = f"another process has the ledger locked; {counted(left, 'answer')} to be written"
            self._waits.tell(_LONG_LOCK, why, however_short=True)
            time.sleep(SLICE)
            self._beat()

    def _behind(self) -> int:
        """Try to write what the ledger has kept; return how much is left that can be written later."""
        with self._answered_for():
            return self._run.catch_up()
        return 0

    def outlook(self, addresses: int, due: int | None, last_due: int | None) -> Outlook:
        """Return when the next of so many addresses may leave, and when all will have.

        None of them is due before `due`, and one of them not before `last_due`, UTC ns.
        """
        now = clock.moment()
        return self.dispatch.gate.outlook(addresses, due, now.steady, now.utc, last_due)

    def interrupt(self, *, at_once: bool = False) -> None:
        """Stop claiming and wait for the answers that are due; `at_once`: do not wait for them."""
        self.dispatch.stop(Stop(Ending.INTERRUPTED, "interrupted"))
        if at_once:
            self.dispatch.at_once.set()
            self._run.hurry()

    def _beat(self) -> None:
        now = clock.moment()
        if now.steady - self._beaten >= _HEARTBEAT:
            with self._answered_for(), suppress(LedgerBusy):  # tried again in the next slice
                self._run.heartbeat(now.utc, now.steady)
                self._beaten = now.steady

    @contextmanager
    def _answered_for(self) -> Iterator[None]:
        """Make whatever goes wrong within the end of the run."""
        try:
            yield
        except (LedgerFull, LedgerBusy) as unwritable:
            self.dispatch.stop(Stop(Ending.PAUSED, str(unwritable)))
        except BaseException as failure:
            self._failure = self._failure or failure
            self.interrupt(at_once=isinstance(failure, LeaseLost))

    def _lane(self) -> None:
        lane = Lane(self._shared)
        lost: ConnectFailed | None = None
        with self._answered_for():
            try:
                lane.work()
            except ConnectFailed as error:
                lost = error
        with self._answered_for():
            lane.close()
        with self._lock:
            self._working -= 1
            last = self._working == 0
        if lost is not None and not self.dispatch.finished and (last or isinstance(lost, LoginRefused)):
            refused, secret = isinstance(lost, LoginRefused), self.campaign.smtp.secret
            path = secret.key if refused and secret is not None else lost.path
            self.dispatch.stop(Stop(Ending.DISCONNECTED, str(lost), path, refused))
