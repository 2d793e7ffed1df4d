"""How long ago contents started, from which rate windows are rebuilt, even if a clock was changed.

An attempt records its start on both clocks, and a run its last heartbeat. For starts since this boot, the
steady clock gives the exact age. For those of another boot or machine, the run's last heartbeat relates
the steady clock to the time of day, which corrects for a clock that was set in between. A start in the
future was made by a clock that was ahead: its age is then that of the first sign of life of a later run,
or 0. None of this is written to the ledger.
"""

from __future__ import annotations

from campaign.clock import Moment
from campaign.ledger.processes import this_boot
from campaign.ledger.scope import Scope
from campaign.ledger.sqlite.database import Database
from campaign.ledger.sqlite.runs import LEASE

# Earlier releases stored the host as the campaign file had it.
_OF_THE_SCOPE = "rtrim(lower(r.server), '.') = :server AND r.username = :username"
# A content starts at most half a lease after a heartbeat (`Run.holds`).
_RECENT = "(r.heartbeat >= :utc OR :boot != '' AND r.steady >= :steady AND r.process LIKE :boot || ' %')"
_STARTS = f"""
SELECT r.id, r.process, r.heartbeat, r.steady, a.started_at, a.steady, a.addresses
FROM runs r CROSS JOIN attempts a ON a.run = r.id
WHERE {_OF_THE_SCOPE} AND {_RECENT} ORDER BY r.id DESC, a.id DESC LIMIT :places
"""


def start_ages(
    database: Database, scope: Scope, now: Moment, period: int, places: int
) -> list[tuple[int, int]]:
    """Return (age in ns, addresses) of the latest starts in `scope` that are younger than `period` ns.

    The oldest comes first; at most the latest `places` are returned.
    """
    boot = this_boot()
    since = period + LEASE
    found = database.rows(
        _STARTS,
        {
            "server": scope.host,
            "username": scope.username,
            "utc": now.utc - since,
            "steady": now.steady - since,
            "boot": boot,
            "places": places,
        },
    )
    starts: list[tuple[int, int]] = []
    ahead: dict[int, int] = {}
    for run, process, heartbeat, run_steady, started_at, steady, addresses in found:
        here = bool(boot) and str(process).startswith(f"{boot} ")
        if here and steady is not None:
            age = max(0, now.steady - steady)
        else:
            if steady is not None and run_steady is not None:
                started_at = heartbeat + steady - run_steady
            age = now.utc - started_at
            if age < 0:
                if run not in ahead:
                    ahead[run] = _seen_since(database, run, now, boot)
                age = ahead[run]
        if age < period:
            starts.append((age, addresses))
    return sorted(starts, key=lambda start: -start[0])


def _seen_since(database: Database, run: int, now: Moment, boot: str) -> int:
    """Return the greatest age of the last heartbeats of runs after `run`; 0 if there are none."""
    ages = [0]
    for process, heartbeat, steady in database.rows(
        "SELECT process, heartbeat, steady FROM runs WHERE id > ?", (run,)
    ):
        here = bool(boot) and str(process).startswith(f"{boot} ")
        ages.append(now.steady - steady if here and steady is not None else now.utc - heartbeat)
    return max(ages)
