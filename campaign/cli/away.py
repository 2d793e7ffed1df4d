"""What is done while the ledger's server is away: it is waited for, as a run waits that is sending."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from campaign.cli.output import Output
from campaign.errors import LedgerAway

_PATIENCE = 120.0  # seconds
_AGAIN = 1.0  # seconds between two tries

Result = TypeVar("Result")


def patiently(act: Callable[[], Result], output: Output) -> Result:
    """Do what opens the ledger itself, and again while its server is away. Raises LedgerAway at last."""
    until = time.monotonic() + _PATIENCE
    told = False
    while True:
        try:
            return act()
        except LedgerAway as away:
            if time.monotonic() > until:
                raise
            if not told:
                output.note(f"{away}; it is tried again")
            told = True
            time.sleep(_AGAIN)
