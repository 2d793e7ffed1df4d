"""Sends what is due until nothing is left, with one thread for each connection.

    Sender ── Lane (a thread: claim, render, submit, intend, release, settle)
           ├─ Lane …
           └─ Dispatch (what they share: claims, pace, limit, when to stop)

If a connection cannot be opened or makes no progress, only its own thread ends; the run is disconnected
when the last one has failed. A thread that waits to open a session holds no row, so that the others can
send everything meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from campaign import clock
from campaign.campaignfile.models import CampaignFile
from campaign.delivery import Result
from campaign.errors import ConnectFailed, LeaseLost, LedgerBusy, LedgerFull
from campaign.ledger.protocols import Claim, Run
from campaign.ledger.verdicts import WINDOW
from campaign.model import SECOND
from campaign.sending.account import Logins, load_pace, scope_of
from campaign.sending.breaker import Breaker
from campaign.sending.dispatch import Dispatch, Ending, Stop
from campaign.sending.lane import Lane, Shared
from campaign.sending.lease import HEARTBEAT
from campaign.sending.network.connection import ConnectionLimits, LoginRefused
from campaign.sending.network.opener import Opener, Waits
from campaign.sending.pace.gate import Gate
from campaign.sending.pace.outlook import Outlook
from campaign.sending.pace.pacing import LocalPace
from campaign.sending.pace.sharedgate import SharedGate
from campaign.sending.slices import NO_THREAD, SLICE
from campaign.sending.work import Renders
from campaign.wording import counted

_HEARTBEAT = int(HEARTBEAT * SECOND)
_LONG_LOCK = 60.0  # seconds until a locked ledger is reported again
_GRACE = 2.0  # seconds that threads get to end if the run must stop at once


class Listener(Protocol):
    """Learns what a run does. The methods are called from any thread of the run."""

    def attempted(self, claim: Claim, result: Result) -> None:
        """An attempt at a row has ended with this result, which the ledger has recorded or will."""

    def waiting(self, seconds: float, why: str) -> None:
        """Nothing is sent for this many seconds."""

    def without_window(self, why: str) -> None:
        """The server does not support a window (`smtp.window`): messages go one at a time."""


class Sender:
    """Sends what is due in the ledger until nothing is left, or something stops it."""

    def __init__(
        self,
        campaign: CampaignFile,
        renderer: Renders,
        run: Run,
        logins: Logins,
        listener: Listener,
        *,
        limit: int | None = None,
        limits: ConnectionLimits | None = None,
    ) -> None:
        self.campaign = campaign
        self._run = run
        self._pace = LocalPace(campaign.windows)
        self._breaker = self._armed_breaker()
        # Machines that share a rate book its slots in the ledger.
        self._slots = run.slots(campaign.windows) if campaign.windows else None
        gate = Gate(self._pace) if self._slots is None else SharedGate(self._pace, self._slots)
        self.dispatch = Dispatch(run, gate, campaign.retry, self._breaker, limit=limit)
        self._waits = waits = Waits(listener.waiting)
        ended, without_window = self.dispatch.ended, listener.without_window
        opener = Opener(campaign.smtp, logins, limits, waits, ended, without_window)
        self._opened = threading.Event()  # set with the first session
        self._shared = Shared(
            campaign, renderer, run, self.dispatch, opener, waits, listener.attempted, self._opened
        )
        self._lock = threading.Lock()
        self._working = 0  # threads
        self._failure: BaseException | None = None
        self._beaten = -_HEARTBEAT  # `clock.steady` of the last heartbeat

    def _armed_breaker(self) -> Breaker:
        """Return the breaker, with the results of the campaign's earlier runs."""
        breaker = Breaker.of(self.campaign, self._run.recent_verdicts(WINDOW))
        if (trip := breaker.judged()) is None:
            return breaker
        # An earlier run died before it could record this trip.
        self._run.trip(time.time_ns(), take_back=trip.by_refusals)
        return Breaker.of(self.campaign, ())

    def send(self) -> Stop:
        """Send, and return why it ended. The caller's run holds the lease.

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
        # Daemon threads: one may hang in the system's connect(), and a run that stops at once must not wait.
        count = max(1, self.campaign.smtp.connections)
        lanes = [threading.Thread(target=self._lane, daemon=True) for _ in range(count)]
        self._working = 1
        lanes[0].start()
        at_once = self.dispatch.at_once
        while lanes[0].is_alive() and not at_once.is_set() and not self._opened.wait(SLICE):
            self._beat()
        # The others start after the first login has worked, so that a wrong password fails only once.
        if self._opened.is_set():
            for running, lane in enumerate(lanes[1:], 1):
                with self._lock:
                    self._working += 1
                try:
                    lane.start()
                except RuntimeError:  # a limit of the user, the container or the service
                    with self._lock:
                        self._working -= 1
                    what = f"{NO_THREAD}, and only {running} of {count} connections are open"
                    cure = "raise its limit (`ulimit -u`, a container's, a service's), or lower"
                    self.dispatch.stop(Stop(Ending.PAUSED, f"{what}: {cure} `connections`"))
                    break
        hurried = 0.0
        while any(lane.is_alive() for lane in lanes) and hurried < _GRACE:
            next(lane for lane in lanes if lane.is_alive()).join(SLICE)
            hurried += SLICE if self.dispatch.at_once.is_set() else 0
            self._beat()
            self._catch_up()
        self._run.unclaim(self.dispatch.unclaimed())
        if self._failure is None and self.dispatch.stopped is None and self._breaker.sound():
            self._run.release_held()
        self._write_the_rest()
        if self._failure is not None:
            raise self._failure
        return self.dispatch.outcome()

    def _write_the_rest(self) -> None:
        """Write the remaining answers; wait while another process has the ledger locked."""
        while (left := self._catch_up()) and not self.dispatch.at_once.is_set():
            why = f"another process has the ledger locked; {counted(left, 'answer')} to be written"
            self._waits.tell(_LONG_LOCK, why, however_short=True)
            time.sleep(SLICE)
            self._beat()

    def _catch_up(self) -> int:
        """Try to write the answers that could not be written yet; return how many are left."""
        with self._ending_on_failure():
            return self._run.catch_up()
        return 0

    def outlook(self, addresses: int, due: int | None, last_due: int | None) -> Outlook:
        """Return when the next of `addresses` addresses may leave, and when all will have left.

        The first is due at `due`, and the last at `last_due`, UTC ns.
        """
        now = clock.moment()
        return self.dispatch.gate.outlook(addresses, due, now.steady, now.utc, last_due)

    def interrupt(self, *, at_once: bool = False) -> None:
        """Claim no more rows, and wait for the pending answers; `at_once`: do not wait for them."""
        self.dispatch.stop(Stop(Ending.INTERRUPTED, "interrupted"))
        if at_once:
            self.dispatch.at_once.set()
            self._run.hurry()

    def _beat(self) -> None:
        now = clock.moment()
        if now.steady - self._beaten >= _HEARTBEAT:
            with self._ending_on_failure(), suppress(LedgerBusy):  # tried again in the next slice
                self._run.heartbeat(now.utc, now.steady)
                self._beaten = now.steady

    @contextmanager
    def _ending_on_failure(self) -> Iterator[None]:
        """End the run if anything inside fails."""
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
        with self._ending_on_failure():
            try:
                lane.work()
            except ConnectFailed as error:
                lost = error
        with self._ending_on_failure():
            lane.close()
        with self._lock:
            self._working -= 1
            last = self._working == 0
        if lost is not None and not self.dispatch.finished and (last or isinstance(lost, LoginRefused)):
            refused, secret = isinstance(lost, LoginRefused), self.campaign.smtp.secret
            path = secret.key if refused and secret is not None else lost.path
            self.dispatch.stop(Stop(Ending.DISCONNECTED, str(lost), path, refused))
