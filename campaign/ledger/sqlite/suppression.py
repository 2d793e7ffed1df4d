"""The suppression list: who gets nothing from any campaign of a ledger.

A change takes effect with the next message, also in another process that is sending: waiting rows
become `suppressed` in the same commit, and `pending` again with the next enrolment after a removal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from campaign.ledger.patterns import hashed
from campaign.ledger.protocols import Suppression
from campaign.ledger.sqlite.database import Database


class SqliteSuppressions:
    """The list of one ledger; see `protocols.Suppressions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, entries: Iterable[Suppression]) -> tuple[int, int]:
        """Add entries; return how many are new, and how many waiting rows they suppressed."""
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
            return len(added), self._suppress_waiting({pattern[0] for pattern in added})

    def _suppress_waiting(self, kinds: set[str]) -> int:
        """Suppress waiting rows; `kinds` are the first characters of the new patterns."""
        forms = {"@": "domain", "#": "hash"}
        wanted = {forms.get(kind, "folded") for kind in kinds}
        if not wanted:
            return 0
        listed = "(SELECT pattern FROM suppressions WHERE state = 'released')"
        held = " OR ".join(f"{form} IN {listed}" for form in sorted(wanted))
        self._database.change(
            "UPDATE copies SET status = 'suppressed', reply = ''"
            f" WHERE status IN ('pending', 'deferred') AND ({held})"
        )
        return self._database.change(
            "UPDATE messages SET status = 'suppressed', reply = ''"
            f" WHERE status IN ('pending', 'deferred') AND ({held})"
        )

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
