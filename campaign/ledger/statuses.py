"""Groups of statuses that all kinds of ledger query, and how to write them in SQL."""

from __future__ import annotations

from collections.abc import Iterable

from campaign.model import Status

MAILED = (Status.ACCEPTED, Status.IN_DOUBT, Status.IN_FLIGHT)
"""The statuses of rows whose message was sent, or may have been."""


def listed(names: Iterable[str]) -> str:
    """Return names as an SQL list for IN. They must be our own constants: nothing is escaped."""
    return "(" + ", ".join(f"'{name}'" for name in names) + ")"
