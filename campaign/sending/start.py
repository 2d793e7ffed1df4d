"""The start of a content: when the rate allows it, and not much later than the ledger says.

The intent records when the content is planned to leave. If it would leave much later than that, the new
time is recorded first, since rates are rebuilt from these times.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from campaign import clock
from campaign.ledger.protocols import Intent, Run
from campaign.model import SECOND
from campaign.sending.account import TARDY
from campaign.sending.dispatch import Dispatch
from campaign.sending.gate import Booking
from campaign.sending.slices import SLICE


def start(
    run: Run,
    dispatch: Dispatch,
    booking: Booking,
    intent: Intent,
    before_wait: Callable[[], object] = lambda: None,
) -> bool:
    """Wait until the content of an intent that holds may leave, and count it as started.

    Returns False where the run is stopped, and that would be a long time coming.
    """
    planned, delay, took = intent.steady or 0, 0, 0
    while True:
        now = clock.moment()
        if now.steady > planned + TARDY:  # a slow disk, or others who were faster
            later = max(delay, took)  # to say so takes time too
            planned = now.steady + later
            run.put_off(replace(intent, started_at=now.utc + later, steady=planned))
            took = clock.steady() - now.steady
        elif delay := booking.start(now.steady):
            if delay > SECOND and dispatch.stopped is not None:
                return False
            before_wait()
            time.sleep(min(delay / SECOND, SLICE))
        else:
            return True
