"""Sends messages over one connection, one after another, and has the next one ready meanwhile.

    Making (claim → render) → session.submit → BodyDue → gate → run.record(intent) → gate → session.release
              → Settled → Answers (verdict → retry.decide → run.record(result))

The lane asks the gate twice: first whether the content may leave soon, and then for its place in the
pace. Between the two it commits the intent, so that the pace does not wait for the disk. The intent is
committed before a byte of the content leaves, and the result as soon as the reply is read; a reply and
the next intent share a commit if they come together. Before each write of content, the lane checks that
the lease was renewed lately. If not, this process was suspended, and another may have sent the message.
Nothing is retried here: the ledger offers a deferred row again when it is due, and tenacity retries
opening a session (`retry.opening_retry`).

If the session has a window, `Volley` sends the messages that fit in it; the others go as above.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from campaign import clock
from campaign.campaignfile.models import CampaignFile
from campaign.delivery import Result, Settled
from campaign.errors import ConnectFailed, LedgerBusy, LedgerFull
from campaign.ledger.protocols import Claim, Run
from campaign.model import SECOND
from campaign.sending.answers import Answers
from campaign.sending.dispatch import Dispatch, Ending, Stop
from campaign.sending.making import Making
from campaign.sending.network.connection import Connection
from campaign.sending.network.opener import Opener, Waits
from campaign.sending.slices import SLICE
from campaign.sending.start import start
from campaign.sending.volley import Volley
from campaign.sending.work import Renders, Work, intent_of
from campaign.smtp.events import BodyDue, Closed, Event
from campaign.smtp.session import Session

# If the next message is further away than this, the session is ended: RFC 5321 4.5.3.2.7 lets a server
# hang up after five minutes.
_KEEP_IDLE = 240 * SECOND
# After this many seconds of silence the server may be gone: the next message goes in lock-step.
_SILENT = 5.0
# A connection gives up after this many sessions in a row that ended without a verdict on any message.
_MOST_FRUITLESS = 5
# Seconds that a stopped run waits for the reply to an envelope.
_STOP_WAIT = 3.0
# A session ends after this many refusals in windows: Exim hangs up after eleven (smtp_accept_max_nonmail).
_MOST_REFUSED = 8


@dataclass(frozen=True, slots=True)
class Shared:
    """What the connections of one run share. `opened` is set when the first session is open."""

    campaign: CampaignFile
    renderer: Renders
    run: Run
    dispatch: Dispatch
    opener: Opener
    waits: Waits
    on_result: Callable[[Claim, Result], None]
    opened: threading.Event


class Lane:
    """One connection's thread: it keeps messages on their way, and the next ones ready behind them."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._dispatch = shared.dispatch
        self._run = shared.run
        self._making = Making(shared.renderer, shared.run, shared.dispatch, shared.on_result)
        self._answers = Answers(shared.run, shared.dispatch, shared.campaign.retry, shared.on_result)
        self._connection: Connection | None = None
        self._ready: deque[Work] = deque()  # rendered but not submitted: one, or a window's worth
        window = shared.campaign.smtp.window
        self._volley = Volley(window, self._run, self._dispatch, self._answers, self._making, self._ready)
        self._silent_since = time.monotonic()

    def work(self) -> None:
        """Send until there is nothing left to do. Raises ConnectFailed, LedgerFull, LeaseLost."""
        while True:
            wait = self._fill()
            if wait is None and not self._answers.open:
                break
            self._advance(SECOND if wait is None else wait)
        if self._connection is not None:
            self._connection.quit()
            self._connection = None

    def close(self) -> None:
        """Close the connection, and give back every row that this lane holds."""
        connection, self._connection = self._connection, None
        if connection is not None:
            events = connection.session.lost("given up", connection.transport.unsent)
            self._answers.settle([event for event in events if isinstance(event, Settled)])
            connection.close()
        self._answers.report()
        self._drop_ready()

    def _fill(self) -> int | None:
        """Give the session messages while it wants them.

        Returns the ns to wait for something to happen, or None if nothing is left to send.
        """
        if self._dispatch.stopped is not None:
            self._answers.settle()
            self._drop_ready()
            if self._dispatch.at_once.is_set() or self._waited_enough():
                self.close()
            return None
        connection = self._connection
        if connection is not None and self._windowed(connection):
            return self._fill_window(connection)
        self._answers.settle()
        if connection is not None and not connection.session.wants_message:
            return SECOND
        if not self._ready:
            self._answers.report()
            wait = self._make()
            if not self._ready:
                return wait
        return self._submit_next()

    def _waited_enough(self) -> bool:
        """Whether a stopped run may close: the server is slow, and no content depends on its reply."""
        connection = self._connection
        if connection is None or connection.waited <= _STOP_WAIT:
            return False
        return not connection.session.content_written(connection.transport.unsent)

    def _fill_window(self, connection: Connection) -> int | None:
        """Make messages, and send them in a window, or alone if they do not fit in it; returns as `_fill`."""
        session, wait = connection.session, SECOND
        if len(self._ready) < self._shared.campaign.smtp.window:
            made = self._make()
            if made is None or not self._ready:
                return self._wait_held(made)
            wait = made
        left = self._messages_left()
        if left == 0 or self._long_silent(session) or not session.fits_window(self._ready[0].message):
            if session.wants_message:
                if session.idle:
                    self._answers.settle()
                return self._submit_next()
        elif self._volley.pays(session.room, left, more=wait == 0):
            try:
                wait = self._volley.send(connection, min(session.room, left))
            except (LedgerBusy, LedgerFull) as unwritable:
                # Nothing more leaves, but the pending replies are awaited.
                self._dispatch.stop(Stop(Ending.PAUSED, str(unwritable)))
                return 0
        return self._wait_held(wait)

    def _wait_held(self, wait: int | None) -> int | None:
        """Record replies that were held long enough; return the ns until to look again, 0 if some were."""
        held = self._answers.settle_held()
        return wait if wait is None else min(wait, held)

    def _make(self) -> int | None:
        """Make another message ready; return the ns to wait for the next, or None if nothing is left."""
        made = self._making.take()
        if isinstance(made, Work):
            self._ready.append(made)
            return 0
        if made is None:
            return None
        self._shared.waits.tell(made.delay / SECOND, made.why)
        return made.delay

    def _submit_next(self) -> int:
        """Submit the message that is ready; returns as `_fill` does."""
        if self._messages_left() == 0:
            if self._answers.open:
                return SECOND
            self._end_session()
        work = self._ready[0]
        if ahead := work.booking.ahead(clock.steady()):
            return ahead
        renewed = self._making.renewed(work)
        if renewed is not work:
            self._ready.popleft()
            self._ready.extendleft([renewed] if renewed is not None else [])
            return 0
        self._submit(work)
        self._render_ahead()
        return 0

    def _render_ahead(self) -> None:
        """Render the next message while the server works on the last one."""
        if self._connection is not None and not self._ready and self._dispatch.stopped is None:
            self._handle(self._connection.flush())
            self._answers.report()
            made = self._making.take()
            if isinstance(made, Work):
                self._ready.append(made)

    def _submit(self, work: Work) -> None:
        if not self._run.is_due(work.message.key):
            self._making.drop(self._ready.popleft())  # it was suppressed, forgotten or settled meanwhile
            return
        if self._connection is None:
            self._open_session()
        connection = self._connection
        if connection is None:
            return
        session = connection.session
        if self._long_silent(session):
            # The server may have sent 421 meanwhile: read it, and do not pipeline the next message.
            self._handle(connection.step(0))
            session.rest()
        if self._windowed(connection) and session.fits_window(work.message):
            return  # the session has just been opened: the next `_fill` sends in its window
        if self._ready and self._ready[0] is work and self._connection is not None and session.wants_message:
            self._answers.open[work.message.key] = self._ready.popleft()
            session.submit(work.message)

    def _open_session(self) -> None:
        opener, answers = self._shared.opener, self._answers
        self._connection = opener.open(self._drop_ready, answers.fruitless)
        self._connection.may_write = self._may_write
        self._shared.opened.set()
        answers.fruitful = False
        self._silent_since = time.monotonic()

    def _long_silent(self, session: Session) -> bool:
        """Whether the session was unused for so long that the server may have ended it."""
        return session.idle and time.monotonic() - self._silent_since > _SILENT

    def _windowed(self, connection: Connection) -> bool:
        """Whether messages leave in a window."""
        return connection.session.windowed and self._shared.opener.window > 1

    def _advance(self, wait: int) -> None:
        """Let time pass: read and write, or sleep if there is no session."""
        self._answers.report()
        if self._connection is None:
            time.sleep(min(wait / SECOND, SLICE))
            return
        if wait > _KEEP_IDLE and not self._answers.open:
            self._end_session()
            return
        # A reply ends the wait by itself; the slice is for checking whether to stop.
        alone = self._answers.open and not self._windowed(self._connection)
        self._handle(self._connection.step(SLICE if alone else min(wait / SECOND, SLICE)))

    def _handle(self, events: Sequence[Event]) -> None:
        if not events:
            return
        self._silent_since = time.monotonic()
        idle = not self._answers.open
        settled = [event for event in events if isinstance(event, Settled)]
        due = next((event.message for event in events if isinstance(event, BodyDue)), None)
        closed = next((event for event in events if isinstance(event, Closed)), None)
        connection = self._connection
        if closed is None and due is not None:
            self._release(self._answers.open[due.key], settled)
        elif closed is None and connection is not None and self._windowed(connection):
            self._answers.hold(settled)
        else:
            self._answers.settle(settled)
        if closed is not None and connection is not None:
            self._shared.opener.end_windows(connection.session.why_no_window)
            connection.close()
            self._connection = None
            self._give_back_bookings()
            answers = self._answers
            if not idle:  # a server may end an idle session
                answers.fruitless = 0 if answers.fruitful else answers.fruitless + 1
            if answers.fruitless >= _MOST_FRUITLESS:
                what = f"{_MOST_FRUITLESS} sessions in a row ended before the server had answered any message"
                raise ConnectFailed(f"{what}; the last one: {closed.why}")

    def _release(self, work: Work, settled: list[Settled]) -> None:
        """Wait for the pace, commit the intent, and let the content go."""
        connection, dispatch, answers = self._connection, self._dispatch, self._answers
        if connection is None:
            return
        with work.booking as booking:
            while True:
                granted, delay = booking.may_intend(clock.steady())
                if granted or dispatch.stopped is not None:
                    break
                answers.settle(settled)
                settled = []
                events = connection.step(min(delay / SECOND, SLICE))
                if events:  # the session has ended
                    self._handle(events)
                    return
            if dispatch.stopped is not None:
                answers.settle(settled)
                self._abandon("the run was stopped before this message")
                return
            began = clock.moment()
            intent = intent_of(work.message, began, delay)
            held = intent.key in answers.settle(settled, [intent])
            dispatch.gate.committed(clock.steady() - began.steady)
            if not held:
                self._abandon("the row was withdrawn, suppressed or settled meanwhile")
                return
            if not start(self._run, dispatch, booking, intent):
                self._abandon("the run was stopped before this message")
                return
            connection.session.release(work.message)

    def _may_write(self) -> bool:
        """Whether the lease is certainly still ours: after a suspension, another process may have it."""
        return self._run.holds(clock.steady())

    def _abandon(self, why: str) -> None:
        """End a transaction after 354 by closing the socket: a final dot would send the message."""
        connection, self._connection = self._connection, None
        if connection is not None:
            events = connection.session.lost(why)
            connection.close()
            self._answers.settle([event for event in events if isinstance(event, Settled)])

    def _drop_ready(self) -> None:
        while self._ready:
            self._making.drop(self._ready.popleft())

    def _messages_left(self) -> int:
        """Return how many more messages the session may carry (RFC 9422 4.1: MAILMAX)."""
        most = self._shared.campaign.smtp.messages_per_session
        if self._connection is None:
            return most
        session = self._connection.session
        if session.refused >= _MOST_REFUSED:
            return 0
        left = most - session.submitted
        if session.extensions.mail_max is not None:
            left = min(left, session.extensions.mail_max - session.transactions)
        return max(0, left)

    def _end_session(self) -> None:
        connection, self._connection = self._connection, None
        self._give_back_bookings()
        if connection is not None:
            connection.quit()

    def _give_back_bookings(self) -> None:
        """Let other connections go first while this one has no session."""
        for work in self._ready:
            work.booking.give_back()
