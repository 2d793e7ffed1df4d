"""Groups of statuses that every kind of ledger asks for, and how a statement names them."""

from __future__ import annotations

from collections.abc import Iterable

from campaign.model import Status

HAD = (Status.ACCEPTED, Status.IN_DOUBT, Status.IN_FLIGHT)
"""The statuses of rows that have had their message, or may have."""


def listed(names: Iterable[str]) -> str:
    """Return names of ours as the list behind IN, in any kind of SQL."""
    return "(" + ", ".join(f"'{name}'" for name in names) + ")"
