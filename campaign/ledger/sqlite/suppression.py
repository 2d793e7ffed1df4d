"""The suppression list: who gets nothing from any campaign of a ledger.

A change takes effect with the next message, also in another process that is sending: waiting rows
become `suppressed` in the same commit, and `pending` again with the next enrolment after a removal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from campaign.ledger.patterns import hashed
from campaign.ledger.sqlite.database import Database
from campaign.ledger.suppressions import Suppression

_SUPPRESS = "SET status = 'suppressed', reply = '' WHERE status IN ('pending', 'deferred')"
_LISTED = "(SELECT pattern FROM suppressions WHERE state = 'released')"


class SqliteSuppressions:
    """The list of one ledger; see `protocols.Suppressions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, entries: Iterable[Suppression]) -> tuple[list[str], int]:
        """Add entries; return the patterns that are new, and how many waiting rows they suppressed."""
        added = []
        secret = self._database.secret()
        with self._database.transaction():
            for entry in entries:
                new = self._database.change(
                    # A forgotten person is on the list already, as a hash; the address must not be stored.
                    "INSERT INTO suppressions (pattern, campaign, state, reason, added_at)"
                    " SELECT ?1, 0, 'released', ?2, ?3 WHERE NOT EXISTS (SELECT 1 FROM suppressions"
                    " WHERE pattern = ?4 OR pattern = ?1 AND state = 'released') ON CONFLICT DO NOTHING",
                    (entry.pattern, entry.reason, entry.added_at, hashed(secret, entry.pattern)),
                )
                if new:
                    added.append(entry.pattern)
            return added, self._suppress_waiting(added)

    def _suppress_waiting(self, patterns: Iterable[str]) -> int:
        """Suppress the waiting rows and copies that new patterns cover; return how many rows those were."""
        kinds: dict[str, list[tuple[str]]] = {"@": [], "#": [], "": []}
        for pattern in patterns:
            kinds[pattern[0] if pattern[0] in "@#" else ""].append((pattern,))
        if not any(kinds.values()):
            return 0
        self._database.change(
            f"UPDATE copies {_SUPPRESS} AND (folded IN {_LISTED} OR domain IN {_LISTED} OR hash IN {_LISTED})"
        )
        # For messages each pattern is looked up: they may be few, and a million rows wait.
        rows = self._database.change_many(f"UPDATE messages {_SUPPRESS} AND folded = ?", kinds[""])
        rows += self._database.change_many(
            f"UPDATE messages {_SUPPRESS} AND campaign IN (SELECT id FROM campaigns) AND domain = ?",
            kinds["@"],
        )
        if kinds["#"]:  # no index has hashes
            rows += self._database.change(f"UPDATE messages {_SUPPRESS} AND hash IN {_LISTED}")
        return rows

    def remove(self, patterns: Iterable[str]) -> list[str]:
        """Remove entries, and return the patterns that had none."""
        missing = []
        with self._database.transaction():
            for pattern in patterns:
                removed = self._database.change(
                    "DELETE FROM suppressions WHERE pattern = ?1 OR pattern = hashed(?1)", (pattern,)
                )
                if not removed:
                    missing.append(pattern)
        return missing

    def remove_made_by(self, *, run: int | None = None, reason: str | None = None) -> int:
        """Remove the entries that a run has made, or whose reason contains a text; return how many."""
        if run is not None:
            return self._database.change("DELETE FROM suppressions WHERE run = ?", (run,))
        return self._database.change(
            "DELETE FROM suppressions WHERE instr(lower(reason), lower(?)) > 0 AND reason != 'forgotten'",
            (reason or "",),
        )

    def __iter__(self) -> Iterator[Suppression]:
        for pattern, reason, added_at, run, held_for in self._database.each(
            "SELECT s.pattern, s.reason, s.added_at, s.run, CASE WHEN s.state = 'held' THEN c.name END"
            " FROM suppressions s LEFT JOIN campaigns c ON c.id = s.campaign ORDER BY s.pattern, s.campaign"
        ):
            yield Suppression(str(pattern), str(reason), added_at, run, str(held_for or ""))

    def __len__(self) -> int:
        found = self._database.row("SELECT count(*) FROM suppressions")
        return found[0] if found else 0
