"""The verdicts that a ledger keeps for the circuit breaker: a campaign's latest results, of all its runs.

Each judged result is an event with its verdict. When the breaker trips, an event TRIPPED starts a new window
of results. Suppressions caused by replies are held until no window that can still be judged contains them.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile

from campaign.delivery import Verdict

WINDOW = 200
"""How many results the circuit breaker judges together: a campaign's latest, from any of its runs."""

JUDGED = (
    Verdict.ACCEPTED, Verdict.REFUSED, Verdict.POLICY, Verdict.SENDER, Verdict.IN_DOUBT,
)  # fmt: skip
"""The verdicts that show how the server takes our mail; the breaker judges by these."""

TRIPPED = "tripped"
"""What the event that starts a new window has as kind and verdict."""

RELEASE_EVERY = 25
"""How many results pass between two checks for held suppressions that can be released."""


def since_trip(newest_first: Iterable[str]) -> list[Verdict]:
    """Return the verdicts since the breaker last tripped, the oldest first; given are all, newest first."""
    recent = takewhile(lambda verdict: verdict != TRIPPED, newest_first)
    return [Verdict(verdict) for verdict in reversed([*recent])]
