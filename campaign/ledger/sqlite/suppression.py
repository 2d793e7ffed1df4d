"""The suppression list of a ledger: who is not mailed by any of its campaigns.

A change takes effect with the next message, also in another process that is sending: waiting rows become
`suppressed` at once, and after a removal `pending` again at the next enrolment. Long lists are written in
batches, so that a process that sends can go on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from campaign.ledger.patterns import compared_with, forms, forms_of_version_1, hashed
from campaign.ledger.sqlite.batches import batches
from campaign.ledger.sqlite.database import Database, Row
from campaign.ledger.sqlite.upgrade import REFOLDED_AT
from campaign.ledger.suppressions import Suppression

_WAITS = "status IN ('pending', 'deferred')"
_LISTED = "(SELECT pattern FROM suppressions WHERE state = 'released')"
_GIVEN = "(SELECT value FROM json_each(?))"
_COVERED = {
    "domain": f"campaign IN (SELECT id FROM campaigns) AND domain IN {_GIVEN}",
    "hash": f"hash IN {_GIVEN}",  # which is in no index
    "folded": f"folded IN {_GIVEN}",
}


class SqliteSuppressions:
    """The suppression list of a ledger in a file; see `suppressions.Suppressions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, entries: Iterable[Suppression]) -> tuple[list[str], int]:
        """Add entries; return the patterns that are new, and how many waiting rows they suppressed."""
        added: list[str] = []
        secret = self._database.secret()
        for batch in batches(self._database, entries):
            with self._database.transaction():
                added += [entry.pattern for entry in batch if self._add(entry, secret)]
        return added, self.suppress_waiting(added)

    def _add(self, entry: Suppression, secret: bytes) -> bool:
        """Add an entry; return whether it is new."""
        return bool(
            self._database.change(
                # A forgotten person is listed as a hash; storing the address would undo that.
                "INSERT INTO suppressions (pattern, campaign, state, reason, added_at)"
                " SELECT ?1, 0, 'released', ?2, ?3 WHERE NOT EXISTS (SELECT 1 FROM suppressions"
                " WHERE pattern = ?4 OR pattern = ?1 AND state = 'released') ON CONFLICT DO NOTHING",
                (entry.pattern, entry.reason, entry.added_at, hashed(secret, entry.pattern)),
            )
        )

    def suppress_waiting(self, patterns: list[str]) -> int:
        """Suppress the waiting rows and copies that new patterns cover; return how many rows those were.

        They are searched for outside of transactions; meanwhile no intent for them holds.
        """
        if not patterns:
            return 0
        rows = 0
        for form, condition in _COVERED.items():
            # Each pattern is looked up in `messages`: patterns may be few, while a million rows wait.
            chosen = [pattern for pattern in patterns if compared_with(pattern) == form]
            for some in batches(self._database, chosen):
                rows += self._suppress("messages", condition, json.dumps(some))
        self._suppress("copies", f"folded IN {_LISTED} OR domain IN {_LISTED} OR hash IN {_LISTED}")
        return rows

    def _suppress(self, table: str, condition: str, *parameters: str) -> int:
        """Suppress the waiting rows of a table that meet a condition; return how many there were."""
        found = self._database.rows(f"SELECT id FROM {table} WHERE ({condition}) AND {_WAITS}", parameters)
        return sum(self._change_waiting(table, batch) for batch in batches(self._database, found))

    def _change_waiting(self, table: str, ids: list[Row]) -> int:
        with self._database.transaction():
            return self._database.change_many(
                f"UPDATE {table} SET status = 'suppressed', reply = '' WHERE id = ? AND {_WAITS}", ids
            )

    def remove(self, patterns: Iterable[str]) -> list[str]:
        """Remove entries, and return the patterns that were not on the list."""
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
        """Remove the entries that a run caused, or whose reason contains a text; return how many."""
        if run is not None:
            return self._database.change("DELETE FROM suppressions WHERE run = ?", (run,))
        return self._database.change(
            "DELETE FROM suppressions WHERE instr(lower(reason), lower(?)) > 0 AND reason != 'forgotten'",
            (reason or "",),
        )

    def __iter__(self) -> Iterator[Suppression]:
        for pattern, reason, added_at, run, held_for, campaign in self._database.each(
            "SELECT s.pattern, s.reason, s.added_at, s.run, CASE WHEN s.state != 'released' THEN c.name END,"
            " c.name FROM suppressions s LEFT JOIN campaigns c ON c.id = s.campaign"
            " ORDER BY s.pattern, s.campaign"
        ):
            yield Suppression(
                str(pattern), str(reason), added_at, run, str(held_for or ""), str(campaign or "")
            )

    def __len__(self) -> int:
        found = self._database.row("SELECT count(*) FROM suppressions")
        return found[0] if found else 0


def is_suppressed(database: Database, campaign_id: int, address: str) -> bool:
    """Whether an address is suppressed in a campaign."""
    secret = database.secret()
    one = forms(secret, address)
    found = database.row(
        "SELECT 1 FROM suppressions WHERE pattern IN (?, ?, ?) AND (state = 'released' OR campaign = ?)",
        (one.folded, one.domain, one.hash, campaign_id),
    )
    older = () if found or address.isascii() else forms_of_version_1(secret, address)
    if older and (refolded_at := database.setting(REFOLDED_AT)) is not None:
        found = database.row(
            "SELECT 1 FROM suppressions WHERE pattern IN (?, ?) AND added_at <= ?", (*older, refolded_at)
        )
    return found is not None
