"""Wait for a ledger's server that is away, as a sending run does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from campaign.cli.output import Output
from campaign.errors import LedgerAway

Result = TypeVar("Result")


def patiently(act: Callable[[], Result], output: Output) -> Result:
    """Call `act`, which opens the ledger, again and again while its server is away. Raises LedgerAway."""
    from campaign.ledger.serverwait import ServerWait

    wait = ServerWait(output.waiting)
    while True:
        try:
            return act()
        except LedgerAway as away:
            wait.wait_or_raise(away)
