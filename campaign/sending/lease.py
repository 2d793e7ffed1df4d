"""The sender's lease: waited for, kept alive by a thread from its start to its end, given back.

Preparing a million rows takes minutes, and so may a person at the prompt: the thread renews the lease
meanwhile, so that nobody on another machine takes it over.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from campaign import clock
from campaign.campaignfile.models import CampaignFile
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
from campaign.sending.slices import OnWait

HEARTBEAT = 2.0  # seconds between two renewals
_LOOK = 1.0  # seconds between two looks whether the lease is free


@contextmanager
def leased(
    campaign: CampaignFile, ledger: Ledger, wait: float, waiting: OnWait, *, shared: bool = False
) -> Iterator[Run]:
    """Hold the sender's lease, or a share of it; it may be another's for `wait` seconds first.

    Raises LeaseHeld, LedgerFull. What is the user's to mend is BrokenOff once a message may have left.
    """
    ledger.tell(waiting)
    lease = _taken(campaign, ledger, wait, waiting, shared)
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
        with suppress(LedgerFull, LedgerBusy):  # the lease of a process that has ended holds nobody up
            lease.end(time.time_ns())


def _taken(campaign: CampaignFile, ledger: Ledger, wait: float, waiting: OnWait, shared: bool) -> Run:
    longest = int(campaign.retry.max_delay * 2 * SECOND)
    until = time.monotonic() + wait
    told = False
    while True:
        try:
            scope = scope_of(campaign)
            return ledger.start(scope, time.time_ns(), longest, suppress=campaign.suppress, shared=shared)
        except (LeaseHeld, LedgerBusy) as held:
            left = until - time.monotonic()
            if left <= 0:
                raise
            if not told:
                waiting(left, str(held))
            told = True
            time.sleep(min(left, _LOOK))


@contextmanager
def _beating(run: Run) -> Iterator[None]:
    """Renew the lease in a thread."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(HEARTBEAT):
            # Whoever needs the lease learns from its own renewal or intent that it is lost.
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
