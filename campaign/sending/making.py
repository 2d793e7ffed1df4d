"""One connection's next messages: claimed, rendered, and booked at the gate, or given back.

dispatch.next → renderer → Work      or `drop`, while nothing of it has left
"""

from __future__ import annotations

import time
from collections.abc import Callable

from campaign import clock
from campaign.delivery import Result
from campaign.errors import Overrun, Unequipped, UserError
from campaign.ledger.protocols import Claim, Run
from campaign.sending.ahead import FRESH
from campaign.sending.dispatch import Dispatch, Ending, Later, Stop
from campaign.sending.work import Renders, Work, made, owed, unmade


class Making:
    """Makes messages of rows; one that can no longer be made is put aside, and the others go on."""

    def __init__(
        self, renderer: Renders, run: Run, dispatch: Dispatch, on_result: Callable[[Claim, Result], None]
    ) -> None:
        self._renderer = renderer
        self._run = run
        self._dispatch = dispatch
        self._on_result = on_result

    def take(self) -> Work | Later | None:
        """Return the next message, or when to ask again, or None where nothing is left."""
        claim = self._dispatch.next(clock.steady(), time.time_ns())
        if not isinstance(claim, Claim):
            return claim
        return self._render(claim) or Later(0)

    def renewed(self, work: Work) -> Work | None:
        """Return the message, made anew if it has waited long; None if it was put aside then."""
        if clock.steady() - work.made_at <= FRESH:
            return work
        work.booking.give_back()
        return self._render(work.claim)

    def drop(self, work: Work) -> None:
        """Let go of a row of which nothing has left."""
        work.booking.give_back()
        self._let_go(work.claim)

    def _let_go(self, claim: Claim) -> None:
        self._dispatch.give_back()
        self._run.unclaim([claim.key])

    def _render(self, claim: Claim) -> Work | None:
        try:
            message = made(self._renderer, claim.recipient)
        except (Overrun, Unequipped) as error:  # no other row would fare better
            self._let_go(claim)
            ending = Ending.PAUSED if isinstance(error, Overrun) else Ending.UNEQUIPPED
            self._dispatch.stop(Stop(ending, "; ".join(map(str, error.problems))))
            return None
        except UserError as error:
            self._put_aside(claim, error)
            return None
        except BaseException:
            self._let_go(claim)
            raise
        message = owed(message, claim, self._run)
        booking = self._dispatch.gate.book(message.key, len(message.envelope.recipients))
        return Work(claim, message, booking, clock.steady())

    def _put_aside(self, claim: Claim, error: UserError) -> None:
        result = unmade(claim, "; ".join(problem.message for problem in error.problems), time.time_ns())
        if not claim.copy:  # which stays claimed, and owed: the next run tries it again
            self._run.record([result], [])
        self._dispatch.put_aside("; ".join(map(str, error.problems)))
        self._on_result(claim, result)
