"""States, bundles and runs of campaigns, in PostgreSQL; see `ledger.machines`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from campaign.ledger.machines import Standing, State, WorkerRun
from campaign.ledger.postgres.database import Database
from campaign.ledger.postgres.runs import LEASE, reap, unshared_run
from campaign.ledger.postgres.schema import NOW, UP_SINCE
from campaign.ledger.processes import LiveRun
from campaign.model import SECOND

_WAITS = "status IN ('pending', 'deferred')"
_LEFT = f"""
EXISTS (SELECT 1 FROM messages WHERE campaign = c.id AND status IN ('pending', 'deferred', 'in_flight'))
OR EXISTS (SELECT 1 FROM copies o JOIN messages m ON m.id = o.message WHERE m.campaign = c.id
    AND m.status = 'accepted' AND (o.{_WAITS} OR o.status = 'in_flight'))
"""
# One count per status, by an index in this order: rows that were sent are not read.
_COUNTED = "(SELECT count(*) FROM messages WHERE campaign = %(campaign)s AND status ="
_WAITING = f"""
SELECT {_COUNTED} 'pending') + {_COUNTED} 'deferred') + {_COUNTED} 'in_flight')
     + (SELECT count(*) FROM copies o JOIN messages m ON m.id = o.message
        WHERE (o.{_WAITS} OR o.status = 'in_flight') AND m.campaign = %(campaign)s AND m.status = 'accepted')
"""
_LIVE = (
    "r.campaign = %(campaign)s AND r.ended_at IS NULL AND r.shared"
    f" AND {NOW} - greatest(r.heartbeat, {UP_SINCE}) <= %(lease)s"
)
_FINISH = f"UPDATE campaigns c SET state = 'idle', why = '' WHERE c.state = 'sending' AND NOT ({_LEFT})"
_DUE = f"""
EXISTS (SELECT 1 FROM messages WHERE campaign = c.id AND {_WAITS} AND claim IS NULL AND due_at <= {NOW})
OR EXISTS (SELECT 1 FROM copies o JOIN messages m ON m.id = o.message WHERE m.campaign = c.id
    AND m.status = 'accepted' AND o.{_WAITS} AND o.claim IS NULL AND o.due_at <= {NOW})
"""


class PostgresMachines:
    """What machines share of one campaign; see `machines.Machines`."""

    def __init__(self, database: Database, campaign_id: int) -> None:
        self._database = database
        self._id = campaign_id

    def standing(self) -> Standing:
        """Return the campaign's state."""
        found = self._database.row(
            "SELECT state, why, generation, bundle FROM campaigns WHERE id = %s", (self._id,)
        )
        if found is None:
            return Standing(State.IDLE, "", 0, b"")
        state, why, generation, bundle = found
        return Standing(State(state), str(why), generation, bytes(bundle or b""))

    def begin(self, document: bytes, blobs: Mapping[bytes, bytes]) -> int:
        """Store a bundle and its blobs, and let workers send; return the generation."""
        bundle = hashlib.sha256(document).digest()
        with self._database.transaction():
            self._database.change("DELETE FROM bundle_blobs WHERE campaign = %s", (self._id,))
            for sha256, content in {**blobs, bundle: document}.items():
                self._database.change(
                    "INSERT INTO blobs VALUES (%s, %s) ON CONFLICT DO NOTHING", (sha256, content)
                )
                self._database.change("INSERT INTO bundle_blobs VALUES (%s, %s)", (self._id, sha256))
            self._database.change(
                "DELETE FROM blobs b WHERE NOT EXISTS"
                " (SELECT 1 FROM bundle_blobs u WHERE u.sha256 = b.sha256)"
            )
            found = self._database.row(
                "UPDATE campaigns SET state = 'sending', why = '', generation = generation + 1, bundle = %s"
                " WHERE id = %s RETURNING generation",
                (bundle, self._id),
            )
        return found[0] if found else 0

    def end(self, state: State, why: str, generation: int | None = None) -> bool:
        """Leave the state `sending` of this generation (None: of any); return whether this call did so."""
        changed = self._database.change(
            "UPDATE campaigns SET state = %s, why = %s WHERE id = %s AND state = 'sending'"
            " AND generation = coalesce(%s, generation)",
            (str(state), why, self._id, generation),
        )
        return changed > 0

    def finish(self) -> bool:
        """Become idle if nothing is waiting or in flight; return whether the campaign is idle now."""
        self._database.change(f"{_FINISH} AND c.id = %s", (self._id,))
        return self.standing().state is State.IDLE

    def blob(self, sha256: bytes) -> bytes | None:
        """Return a blob's content."""
        found = self._database.row("SELECT content FROM blobs WHERE sha256 = %s", (sha256,))
        return bytes(found[0]) if found else None

    def waiting(self) -> int:
        """Return how many rows and copies are waiting or in flight."""
        found = self._database.row(_WAITING, {"campaign": self._id})
        return found[0] if found else 0

    def live(self) -> int:
        """Return how many workers are live."""
        found = self._database.row(
            f"SELECT count(*) FROM runs r WHERE {_LIVE}", {"campaign": self._id, "lease": LEASE}
        )
        return found[0] if found else 0

    def runs(self) -> list[WorkerRun]:
        """Return the live workers' runs, the oldest first."""
        found = self._database.rows(
            f"SELECT r.host, r.pid, {NOW} - r.started_at, {NOW} - r.heartbeat,"
            " (SELECT count(*) FROM attempts a WHERE a.run = r.id),"
            f" (SELECT count(*) FROM attempts a WHERE a.run = r.id AND a.started_at > {NOW} - %(lately)s)"
            f" FROM runs r WHERE {_LIVE} ORDER BY r.id",
            {"campaign": self._id, "lease": LEASE, "lately": 60 * SECOND},
        )
        return [WorkerRun(str(host), *numbers) for host, *numbers in found]

    def unshared_run(self) -> LiveRun | None:
        """Return the live run that keeps workers out."""
        return unshared_run(self._database, self._id)

    def sending(self) -> list[str]:
        """Return the names of all campaigns of this ledger that are sending and have something due."""
        self._database.retried_after_deadlock(self._tidy)
        found = self._database.rows(
            f"SELECT name FROM campaigns c WHERE state = 'sending' AND ({_DUE}) ORDER BY id"
        )
        return [str(name) for (name,) in found]

    def _tidy(self) -> None:
        """End the runs of dead workers, and then all campaigns that have nothing left to send."""
        with self._database.transaction():
            reap(self._database)
            self._database.change(_FINISH)
