"""Makes one connection's next messages: claims a row, renders it, and books a place at the gate.

dispatch.next → renderer → Work      `drop` gives a row back if nothing of its message has left
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
from campaign.sending.work import Renders, Work, invalid_result, render_row, without_settled


class Making:
    """Makes messages from rows. A message that can no longer be made is put aside; the others go on."""

    def __init__(
        self, renderer: Renders, run: Run, dispatch: Dispatch, on_result: Callable[[Claim, Result], None]
    ) -> None:
        self._renderer = renderer
        self._run = run
        self._dispatch = dispatch
        self._on_result = on_result

    def take(self) -> Work | Later | None:
        """Return the next message, or when to ask again, or None if nothing is left."""
        claim = self._dispatch.next(clock.steady(), time.time_ns())
        if not isinstance(claim, Claim):
            return claim
        return self._render(claim) or Later(0)

    def renewed(self, work: Work) -> Work | None:
        """Return the message, rendered again if it has waited long; None if that failed."""
        if clock.steady() - work.made_at <= FRESH:
            return work
        work.booking.give_back()
        return self._render(work.claim)

    def drop(self, work: Work) -> None:
        """Give back a row if nothing of its message has left."""
        work.booking.give_back()
        self._give_back(work.claim)

    def _give_back(self, claim: Claim) -> None:
        self._dispatch.give_back()
        self._run.unclaim([claim.key])

    def _render(self, claim: Claim) -> Work | None:
        try:
            message = render_row(self._renderer, claim.recipient)
        except (Overrun, Unequipped) as error:  # the other rows would fail too
            self._give_back(claim)
            ending = Ending.PAUSED if isinstance(error, Overrun) else Ending.UNEQUIPPED
            self._dispatch.stop(Stop(ending, "; ".join(map(str, error.problems))))
            return None
        except UserError as error:
            self._put_aside(claim, error)
            return None
        except BaseException:
            self._give_back(claim)
            raise
        message = without_settled(message, claim, self._run)
        booking = self._dispatch.gate.book(message.key, len(message.envelope.recipients))
        return Work(claim, message, booking, clock.steady())

    def _put_aside(self, claim: Claim, error: UserError) -> None:
        words = "; ".join(problem.message for problem in error.problems)
        result = invalid_result(claim, words, time.time_ns())
        if not claim.copy:  # a copy stays claimed, and owed: the next run tries it again
            self._run.record([result], [])
        self._dispatch.put_aside("; ".join(map(str, error.problems)))
        self._on_result(claim, result)
