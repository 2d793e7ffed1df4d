"""Holds the sender's lease: waits for it, renews it in a thread, and gives it back.

Preparing a million rows takes minutes, and so may a person at the prompt. Meanwhile the thread renews the
lease, so that no other machine takes it over.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from campaign import clock
from campaign.campaignfile.models import CampaignFile
from campaign.clock import TellWait
from campaign.errors import (
    BrokenOff,
    LeaseHeld,
    LeaseLost,
    LedgerBusy,
    LedgerFull,
    LedgerGivenUp,
    UserError,
)  # fmt: skip
from campaign.ledger import Ledger
from campaign.ledger.protocols import Run
from campaign.model import SECOND
from campaign.sending.account import scope_of

HEARTBEAT = 2.0  # seconds between two renewals
_LOOK = 1.0  # seconds between two checks whether the lease is free
_WAITS = "(--wait 10m waits for it)"


@contextmanager
def leased(
    campaign: CampaignFile, ledger: Ledger, wait: float | None, waiting: TellWait, *, shared: bool = False
) -> Iterator[Run]:
    """Hold the sender's lease, or a share of it; wait up to `wait` seconds while another has it.

    `wait` is what `--wait` said, None where the command has no such option.
    Raises LeaseHeld, LedgerFull. A UserError inside becomes BrokenOff once a message may have left.
    """
    ledger.report_waits_to(waiting)
    lease = _take_lease(campaign, ledger, wait, waiting, shared)
    try:
        with _beating(lease):
            yield lease
    except LedgerGivenUp:
        raise
    except (UserError, OSError) as error:
        if lease.has_sent:
            raise BrokenOff(str(error)) from error
        raise
    finally:
        with suppress(LedgerFull, LedgerBusy):  # nobody waits for the lease of a process that has ended
            lease.end(time.time_ns())


def _take_lease(
    campaign: CampaignFile, ledger: Ledger, wait: float | None, waiting: TellWait, shared: bool
) -> Run:
    longest = int(campaign.retry.max_delay * 2 * SECOND)
    until = time.monotonic() + (wait or 0.0)
    reported = False
    while True:
        try:
            scope = scope_of(campaign)
            return ledger.start(scope, time.time_ns(), longest, suppress=campaign.suppress, shared=shared)
        except (LeaseHeld, LedgerBusy) as held:
            left = until - time.monotonic()
            if left <= 0:
                if isinstance(held, LeaseHeld) and wait is not None:
                    held.reword(lambda problem: replace(problem, message=f"{problem.message} {_WAITS}"))
                raise
            if not reported:
                waiting(left, str(held))
            reported = True
            time.sleep(min(left, _LOOK))


@contextmanager
def _beating(run: Run) -> Iterator[None]:
    """Renew the lease in a thread."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(HEARTBEAT):
            # Code that needs the lease learns of its loss from its own renewal or intent.
            with suppress(LeaseLost, UserError):
                now = clock.moment()
                run.heartbeat(now.utc, now.steady)

    heart = threading.Thread(target=beat, name="heartbeat", daemon=True)
    heart.start()
    try:
        yield
    finally:
        over.set()
        heart.join()
