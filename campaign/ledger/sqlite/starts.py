"""How long ago contents started, which rate windows are rebuilt from, whatever was done to the clock.

An attempt has its start on both clocks, a run its last heartbeat. Of this boot, the steady clock says
the age of a start, exactly. Of another boot or machine, the run's last heartbeat says what the time of
day was then, corrected if it was set meanwhile. A start that lies in the future was made by a clock that
was ahead: it counts as made when a later run was last seen, or now. Nothing of that is written down.
"""

from __future__ import annotations

from campaign.clock import Moment
from campaign.ledger.processes import this_boot
from campaign.ledger.scope import Scope
from campaign.ledger.sqlite.database import Database
from campaign.ledger.sqlite.runs import LEASE

# Earlier releases kept the host as the campaign file had it.
_OF_THE_SCOPE = "rtrim(lower(r.server), '.') = :server AND r.username = :username"
# Contents start within half a lease after a heartbeat (`Run.holds`).
_RECENT = "(r.heartbeat >= :utc OR :boot != '' AND r.steady >= :steady AND r.process LIKE :boot || ' %')"
_STARTS = f"""
SELECT r.id, r.process, r.heartbeat, r.steady, a.started_at, a.steady, a.addresses
FROM runs r CROSS JOIN attempts a ON a.run = r.id
WHERE {_OF_THE_SCOPE} AND {_RECENT} ORDER BY r.id DESC, a.id DESC LIMIT :places
"""


def ages(database: Database, scope: Scope, now: Moment, period: int, places: int) -> list[tuple[int, int]]:
    """Return (age in ns, addresses) of the last starts in `scope` that are younger than `period` ns.

    The oldest comes first; at most the last `places` are returned.
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
    """Return the age of the first sign of life of a run later than `run`; 0 where there is none."""
    ages = [0]
    for process, heartbeat, steady in database.rows(
        "SELECT process, heartbeat, steady FROM runs WHERE id > ?", (run,)
    ):
        here = bool(boot) and str(process).startswith(f"{boot} ")
        ages.append(now.steady - steady if here and steady is not None else now.utc - heartbeat)
    return max(ages)
