"""How long ago contents started, from which rate windows are rebuilt, by the database's clock."""

from __future__ import annotations

from campaign import clock
from campaign.ledger.postgres.database import Database
from campaign.ledger.postgres.runs import LEASE
from campaign.ledger.postgres.schema import NOW
from campaign.ledger.scope import Scope

# A content starts at most a lease after a heartbeat.
_STARTS = f"""
SELECT {NOW} - a.started_at, a.addresses FROM runs r JOIN attempts a ON a.run = r.id
WHERE r.server = %(server)s AND r.username = %(username)s AND r.heartbeat >= {NOW} - %(since)s
    AND a.started_at > {NOW} - %(period)s ORDER BY a.started_at DESC LIMIT %(places)s
"""


def start_ages(
    database: Database, scope: Scope, now: clock.Moment, period: int, places: int
) -> list[tuple[int, int]]:
    """Return (age in ns, addresses) of the latest starts in `scope` that are younger than `period` ns.

    The oldest comes first; at most the latest `places` are returned. Ages are as of `now`, or a little
    less: the time that the query took is subtracted.
    """
    found = database.rows(
        _STARTS,
        {
            "server": scope.host,
            "username": scope.username,
            "since": period + LEASE,
            "period": period,
            "places": places,
        },
    )
    asked = clock.steady() - now.steady
    return [(max(0, age - asked), addresses) for age, addresses in reversed(found)]
