"""The messages that leave together in a session's window: one commit holds the intents of all.

    ready → the gate, for each → run.record(results, intents) → the gate, for each → session.send

See `lane`, whose order of things this keeps: no byte of a message leaves before its intent is committed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import ExitStack

from campaign import clock
from campaign.delivery import Answer, Fate, Message, Settled, Stage
from campaign.ledger.protocols import Intent, Run
from campaign.model import SECOND
from campaign.sending.answers import Answers
from campaign.sending.connection import Connection
from campaign.sending.gate import Booking, Gate
from campaign.sending.making import Making
from campaign.sending.work import Work, intent_of

MOST_OCTETS = 1 << 20
"""While contents of so many octets are unanswered, no further message leaves beside them."""


class Volley:
    """Sends what is `ready` in a window. `start` waits for an intent's place in the pace; see `Lane`."""

    def __init__(
        self,
        run: Run,
        gate: Gate,
        answers: Answers,
        making: Making,
        ready: deque[Work],
        start: Callable[[Booking, Intent, Callable[[], object]], bool],
    ) -> None:
        self._run = run
        self._gate = gate
        self._answers = answers
        self._making = making
        self._ready = ready
        self._start = start

    def send(self, connection: Connection, most: int) -> int | None:
        """Send what may leave now, at most so many; record with it what was answered.

        Returns 0, or the ns until the first of them may leave, or None where that one needs DATA.
        """
        with ExitStack() as bookings:
            chosen, delay = self._chosen(connection, most, bookings)
            if not chosen:
                return delay
            began = clock.moment()
            intents = [intent_of(work.message, began, delay) for work, delay in chosen]
            try:
                granted = self._answers.settle((), intents)
            except BaseException:  # they are dropped with what is ready
                self._ready.extendleft(work for work, _ in reversed(chosen))
                raise
            self._gate.committed(clock.steady() - began.steady)
            for (work, _), intent in zip(chosen, intents, strict=True):
                if intent.key in granted:
                    self._let_go(connection, work, intent)
                else:  # withdrawn, suppressed or settled meanwhile: the ledger says which
                    self._run.is_due(intent.key)
                    self._making.drop(work)
            connection.flush()
        return 0

    def _chosen(
        self, connection: Connection, most: int, bookings: ExitStack
    ) -> tuple[list[tuple[Work, int]], int | None]:
        """Take those that may leave soon from what is ready, each with the ns until then.

        The other value is what `send` returns where there is none.
        """
        chosen: list[tuple[Work, int]] = []
        octets = sum(work.message.size for work in self._answers.open.values())
        while self._ready and len(chosen) < most:
            work = self._making.renewed(self._ready[0])
            if work is None:
                self._ready.popleft()
                continue
            self._ready[0] = work
            if not connection.session.takes_whole(work.message):
                return chosen, None
            if octets and octets + work.message.size > MOST_OCTETS:
                return chosen, SECOND
            if delay := work.booking.ahead(clock.steady()):
                return chosen, delay
            granted, delay = work.booking.may_intend(clock.steady())
            if not granted:
                return chosen, delay
            chosen.append((self._ready.popleft(), delay))
            bookings.enter_context(work.booking)
            octets += work.message.size
        return chosen, 0

    def _let_go(self, connection: Connection, work: Work, intent: Intent) -> None:
        self._answers.open[intent.key] = work
        if self._start(work.booking, intent, connection.flush):
            connection.session.send(work.message)
        else:
            self._answers.settle([_unsent(work.message)])


def _unsent(message: Message) -> Settled:
    why = "the run was stopped before this message"
    addresses = message.envelope.recipients
    return Settled(message, tuple(Answer(one, Fate.UNSENT, Stage.MAIL, None, why) for one in addresses))
