"""Which runs are alive, and what dead ones left behind, by the database's clock.

A run is dead if its last heartbeat is older than the lease, or if this system can see that its process is
gone. Any process that finds it ends it (`reap`): its rows in flight become `in_doubt`, and its claims are
released. A run that was only suspended cannot mail anybody twice: an intent holds only for a run that has
not ended, and takes the lock of its row in `runs`, as `reap` does.

While the server was down, nobody could renew a lease. So after it has started, no heartbeat counts as old
until one lease has passed.
"""

from __future__ import annotations

from dataclasses import dataclass

from campaign.errors import LeaseHeld
from campaign.ledger.postgres.connection import Row
from campaign.ledger.postgres.database import Database
from campaign.ledger.postgres.schema import NOW, UP_SINCE
from campaign.ledger.processes import BROKE_OFF, LiveRun, is_alive
from campaign.model import SECOND

LEASE = 30 * SECOND


@dataclass(frozen=True, slots=True)
class _Unended:
    """The runs that have not ended: live ones, and the ids of those whose process is gone or silent."""

    live: list[LiveRun]
    gone: list[int]
    silent: list[int]


def _unended(database: Database, campaign_id: int | None = None) -> _Unended:
    found = _Unended([], [], [])
    for run_id, host, pid, process, silent in database.rows(
        f"SELECT id, host, pid, process, {NOW} - greatest(heartbeat, {UP_SINCE})"
        " FROM runs WHERE ended_at IS NULL AND campaign = coalesce(%s, campaign) ORDER BY id",
        (campaign_id,),
    ):
        seen = is_alive(host, pid, process)
        # A process that is visible here may be suspended: other machines judge it by its heartbeat, so do we.
        if seen is False:
            found.gone.append(run_id)
        elif silent > LEASE:
            found.silent.append(run_id)
        else:
            found.live.append(LiveRun(run_id, pid, str(host), bool(seen), LEASE))
    return found


def live_runs(database: Database, campaign_id: int | None = None) -> list[LiveRun]:
    """Return the live runs, of one campaign or of all."""
    return _unended(database, campaign_id).live


def refuse_held(database: Database, campaign_id: int, *, shared: bool) -> None:
    """Raise LeaseHeld if a live process is sending this campaign, unless both share the lease.

    Call within a transaction in which no other run can begin.
    """
    run = (
        unshared_run(database, campaign_id) if shared else next(iter(live_runs(database, campaign_id)), None)
    )
    if run is not None:
        raise LeaseHeld(database.problem(str(run)))


def unshared_run(database: Database, campaign_id: int) -> LiveRun | None:
    """Return the live run of this campaign that does not share the lease, if there is one."""
    shared = {run_id for (run_id,) in database.rows("SELECT id FROM runs WHERE ended_at IS NULL AND shared")}
    return next((run for run in live_runs(database, campaign_id) if run.run_id not in shared), None)


def reap(database: Database) -> None:
    """End dead runs, set their rows in flight to `in_doubt`, and release their claims.

    Call within a transaction. There are two steps, because an intent that is being committed has the run's
    lock: only a statement after the one that ends the run sees that intent.
    """
    found = _unended(database)
    if found.gone or found.silent:
        # A silent run may have renewed its lease by now.
        database.change(
            "UPDATE runs SET ended_at = heartbeat WHERE ended_at IS NULL"
            f" AND (id = ANY(%s) OR id = ANY(%s) AND heartbeat + %s < {NOW})",
            (found.gone, found.silent, LEASE),
        )
    ended = "r.ended_at IS NOT NULL"
    for statement in (
        "WITH left_behind AS (UPDATE messages m SET status = 'in_doubt', reply = %(words)s,"
        f" settled_at = {NOW} FROM runs r WHERE m.run = r.id AND {ended} AND m.status = 'in_flight'"
        " RETURNING m.campaign, m.key, m.email, m.settled_at)"
        " INSERT INTO events (campaign, key, address, kind, time, text)"
        " SELECT campaign, key, email, 'in_doubt', settled_at, %(words)s FROM left_behind",
        "WITH left_behind AS (UPDATE copies c SET status = 'in_doubt', reply = %(words)s,"
        f" settled_at = {NOW} FROM runs r WHERE c.run = r.id AND {ended} AND c.status = 'in_flight'"
        " RETURNING c.message, c.address, c.settled_at)"
        " INSERT INTO events (campaign, key, address, kind, time, text)"
        " SELECT m.campaign, m.key, l.address, 'in_doubt', l.settled_at, %(words)s"
        " FROM left_behind l JOIN messages m ON m.id = l.message",
        f"UPDATE messages m SET claim = NULL FROM runs r WHERE m.claim = r.id AND {ended}",
        f"UPDATE copies c SET claim = NULL FROM runs r WHERE c.claim = r.id AND {ended}",
    ):
        database.change(statement, {"words": BROKE_OFF})


def owners(database: Database, row: str, copy: str, campaign_id: int) -> list[Row]:
    """Return (pid, host, process) of the run that left a row, or a copy of it, in doubt when it died."""
    return database.rows(
        "SELECT r.pid, r.host, r.process FROM messages m LEFT JOIN copies c ON c.message = m.id"
        " AND c.folded = %(copy)s JOIN runs r ON r.id = CASE WHEN %(copy)s = '' THEN m.run ELSE c.run END"
        " WHERE m.campaign = %(campaign)s AND m.key = %(row)s"
        " AND %(words)s = CASE WHEN %(copy)s = '' THEN m.reply ELSE c.reply END",
        {"campaign": campaign_id, "row": row, "copy": copy, "words": BROKE_OFF},
    )


def owners_of_doubt(database: Database, campaign_id: int) -> list[Row]:
    """Return (pid, host, process, messages) of each dead run that left messages of a campaign in doubt."""
    return database.rows(
        "SELECT r.pid, r.host, r.process, count(*) FROM"
        " (SELECT run FROM messages WHERE campaign = %(campaign)s AND status = 'in_doubt'"
        "  AND reply = %(words)s UNION ALL SELECT c.run FROM copies c JOIN messages m ON m.id = c.message"
        "  WHERE m.campaign = %(campaign)s AND c.status = 'in_doubt' AND c.reply = %(words)s) d"
        " JOIN runs r ON r.id = d.run GROUP BY r.id",
        {"campaign": campaign_id, "words": BROKE_OFF},
    )
