"""What is done while the ledger's server is away: it is waited for, as a run waits that is sending."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from campaign.cli.output import Output
from campaign.errors import LedgerAway

Result = TypeVar("Result")


def patiently(act: Callable[[], Result], output: Output) -> Result:
    """Do what opens the ledger itself, and again while its server is away. Raises LedgerAway at last."""
    from campaign.ledger.serverwait import ServerWait

    wait = ServerWait(output.waiting)
    while True:
        try:
            return act()
        except LedgerAway as away:
            wait.again(away)
