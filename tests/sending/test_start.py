"""The start of a content, and what is recorded if it is later than its intent says."""

from __future__ import annotations

import time

from campaign import clock
from campaign.campaignfile.models import RetryPolicy
from campaign.ledger.protocols import Intent
from campaign.model import SECOND
from campaign.sending.account import TARDY
from campaign.sending.breaker import Breaker
from campaign.sending.dispatch import Dispatch
from campaign.sending.pace.gate import Gate
from campaign.sending.pace.pacing import LocalPace
from campaign.sending.start import start
from tests.sending.rows import Rows


class SlowRows(Rows):
    """A ledger that writes more slowly than a start may be late."""

    def postpone(self, intent: Intent) -> None:
        time.sleep(1.5 * TARDY / SECOND)
        super().postpone(intent)


def test_a_disk_slower_than_the_permitted_delay_does_not_block_a_start_for_ever() -> None:
    run, gate = SlowRows("a@example.test"), Gate(LocalPace(()))
    dispatch = Dispatch(run, gate, RetryPolicy(), Breaker(None, None))
    now = clock.moment()
    planned = now.steady - SECOND
    intent = Intent("a@example.test", now.utc - SECOND, ("a@example.test",), "<1@example.com>", "", planned)
    run.intended.append(intent)
    assert start(run, dispatch, gate.book(intent.key, 1), intent)
    assert clock.steady() - (run.intended[0].steady or 0) <= TARDY + SECOND
