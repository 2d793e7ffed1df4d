"""Sends several messages together in a session's window, with one commit for all their intents.

    ready → the gate, for each → run.record(results, intents) → the gate, for each → session.send

As in `lane`, no byte of a message leaves before its intent is committed.
"""

from __future__ import annotations

from collections import deque
from contextlib import ExitStack

from campaign import clock
from campaign.delivery import Answer, Fate, Message, Settled, Stage
from campaign.ledger.protocols import Intent, Run
from campaign.model import SECOND
from campaign.sending.answers import Answers
from campaign.sending.dispatch import Dispatch
from campaign.sending.making import Making
from campaign.sending.network.connection import Connection
from campaign.sending.start import start
from campaign.sending.work import Work, intent_of
from campaign.smtp.session import Session
from campaign.smtp.window import MOST_OCTETS


class Volley:
    """Sends the `ready` messages in a window of `window` messages."""

    def __init__(
        self,
        window: int,
        run: Run,
        dispatch: Dispatch,
        answers: Answers,
        making: Making,
        ready: deque[Work],
    ) -> None:
        self._half = window // 2
        self._run = run
        self._dispatch = dispatch
        self._answers = answers
        self._making = making
        self._ready = ready

    def pays(self, room: int, left: int, *, more: bool) -> bool:
        """Whether enough messages are ready, and have room, to be worth a commit.

        Enough is half a window, or fewer if the session takes only `left` more messages, or if no `more`
        will be ready soon. A first message that the gate has already let ahead is enough alone.
        """
        if self._ready[0].booking.ahead_now:
            return room > 0
        enough = min(self._half, left)
        return min(len(self._ready), room) >= (enough if more else min(enough, len(self._ready)))

    def send(self, connection: Connection, most: int) -> int:
        """Send the messages that may leave now, at most `most`; record the held answers in the same commit.

        Returns 0, or the ns until the first may leave. Raises LedgerBusy, LedgerFull, LeaseLost.
        """
        with ExitStack() as bookings:
            delays, wait = self._allowed(connection.session, most, bookings)
            if not delays:
                return wait
            began = clock.moment()
            chosen = [self._ready[place] for place in range(len(delays))]
            pairs = zip(chosen, delays, strict=True)
            intents = [intent_of(work.message, began, delay) for work, delay in pairs]
            granted = self._answers.settle((), intents)
            self._dispatch.gate.committed(clock.steady() - began.steady)
            for work in chosen:
                self._ready.popleft()
                if work.message.key in granted:
                    self._answers.open[work.message.key] = work
                else:
                    self._making.drop(work)  # withdrawn, suppressed or settled meanwhile
            self._release(connection, [intent for intent in intents if intent.key in granted])
        return 0

    def _allowed(self, session: Session, most: int, bookings: ExitStack) -> tuple[list[int], int]:
        """Return, for each of the first messages that may leave soon, the ns until it may.

        The second value is what `send` returns if there are none.
        """
        delays: list[int] = []
        octets = self._answers.octets
        while len(delays) < min(most, len(self._ready)):
            place = len(delays)
            work = self._making.renewed(self._ready[place])
            if work is None:
                del self._ready[place]
                continue
            self._ready[place] = work
            octets += work.message.size
            now = clock.steady()
            if octets > MOST_OCTETS or not session.fits_window(work.message):
                return delays, SECOND  # an answer ends this wait
            if wait := self._dispatch.gate.held(now) or work.booking.ahead(now):
                return delays, wait
            granted, delay = work.booking.may_intend(now)
            if not granted:
                return delays, delay
            bookings.enter_context(work.booking)
            delays.append(delay)
        return delays, 0

    def _release(self, connection: Connection, intents: list[Intent]) -> None:
        """Send the messages of these intents, each at its time; settle those that cannot go as unsent."""
        sent = 0
        try:
            for intent in intents:
                work = self._answers.open[intent.key]
                if self._dispatch.stopped is not None:
                    break
                if not start(self._run, self._dispatch, work.booking, intent, connection.flush):
                    break
                connection.session.send(work.message)
                sent += 1
        finally:
            connection.flush()
            unsent = [self._answers.open[intent.key].message for intent in intents[sent:]]
            self._answers.settle([_unsent(message) for message in unsent])


def _unsent(message: Message) -> Settled:
    why = "the run was stopped before this message"
    addresses = message.envelope.recipients
    return Settled(message, tuple(Answer(one, Fate.UNSENT, Stage.MAIL, None, why) for one in addresses))
