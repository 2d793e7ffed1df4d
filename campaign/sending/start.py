"""Waits until a content may leave under the rate, and keeps the time in the ledger correct.

The intent records when the content should leave. If it would leave much later, the new time is recorded
first, because rates are rebuilt from these times.
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
from campaign.sending.pace.gate import Booking
from campaign.sending.slices import SLICE


def start(
    run: Run,
    dispatch: Dispatch,
    booking: Booking,
    intent: Intent,
    before_wait: Callable[[], object] = lambda: None,
) -> bool:
    """Wait until the content of a committed intent may leave, and count it as started.

    Returns False if the run is stopped and the wait would be longer than a second.
    """
    planned, delay, took = intent.steady or 0, 0, 0
    while True:
        now = clock.moment()
        if now.steady > planned + TARDY:  # a slow disk, or other connections were faster
            later = max(delay, took)  # recording the new time takes time too
            planned = now.steady + later
            run.postpone(replace(intent, started_at=now.utc + later, steady=planned))
            took = clock.steady() - now.steady
        elif delay := booking.start(now.steady):
            if delay > SECOND and dispatch.stopped is not None:
                return False
            before_wait()
            time.sleep(min(delay / SECOND, SLICE))
        else:
            return True
