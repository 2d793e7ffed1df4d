"""A content's start, and what the ledger is told where it is later than its intent says."""

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
    """Takes longer to write than a start may be late."""

    def postpone(self, intent: Intent) -> None:
        time.sleep(1.5 * TARDY / SECOND)
        super().postpone(intent)


def test_a_disk_that_takes_longer_than_a_start_may_be_late_holds_nothing_up_for_ever() -> None:
    run, gate = SlowRows("a@example.test"), Gate(LocalPace(()))
    dispatch = Dispatch(run, gate, RetryPolicy(), Breaker(None, None))
    now = clock.moment()
    planned = now.steady - SECOND
    intent = Intent("a@example.test", now.utc - SECOND, ("a@example.test",), "<1@example.com>", "", planned)
    run.intended.append(intent)
    assert start(run, dispatch, gate.book(intent.key, 1), intent)
    assert clock.steady() - (run.intended[0].steady or 0) <= TARDY + SECOND
