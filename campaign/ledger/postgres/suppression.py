"""The suppression list of a ledger: who is not mailed by any of its campaigns.

A change takes effect with the next message, on every machine: waiting rows become `suppressed` in the
same commit, and after a removal `pending` again at the next enrolment.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from campaign.ledger.patterns import compared_with, forms, hashed
from campaign.ledger.postgres.database import Database
from campaign.ledger.suppressions import Suppression

_SUPPRESS = "SET status = 'suppressed', reply = '', claim = NULL WHERE status IN ('pending', 'deferred')"
_RELEASED = "(SELECT pattern FROM suppressions WHERE state = 'released')"


class PostgresSuppressions:
    """The suppression list of a ledger in a database; see `suppressions.Suppressions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, entries: Iterable[Suppression]) -> tuple[list[str], int]:
        """Add entries; return the patterns that are new, and how many waiting rows they suppressed."""
        listed = list(entries)
        return self._database.retried_after_deadlock(lambda: self._add(listed))

    def _add(self, entries: list[Suppression]) -> tuple[list[str], int]:
        secret = self._database.secret()
        with self._database.transaction():
            added = [
                str(pattern)
                for (pattern,) in self._database.rows(
                    # A forgotten person is listed as a hash; storing the address would undo that.
                    "INSERT INTO suppressions (pattern, campaign, state, reason, added_at)"
                    " SELECT DISTINCT ON (e.pattern) e.pattern, 0, 'released', e.reason, e.added_at"
                    " FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[]) WITH ORDINALITY"
                    " AS e(pattern, hash, reason, added_at, place) WHERE NOT EXISTS (SELECT 1 FROM"
                    " suppressions s WHERE s.pattern = e.hash OR s.pattern = e.pattern"
                    " AND s.state = 'released') ORDER BY e.pattern, e.place"
                    " ON CONFLICT (pattern, campaign) DO NOTHING RETURNING pattern",
                    (
                        [entry.pattern for entry in entries],
                        [hashed(secret, entry.pattern) for entry in entries],
                        [entry.reason for entry in entries],
                        [entry.added_at for entry in entries],
                    ),
                )
            ]
            given = {entry.pattern: place for place, entry in reversed(list(enumerate(entries)))}
            return sorted(added, key=given.__getitem__), self.suppress_waiting(added)

    def suppress_waiting(self, patterns: list[str]) -> int:
        """Suppress the waiting rows and copies that new patterns cover; return how many rows those were."""
        if not patterns:
            return 0
        self._database.change(
            f"UPDATE copies {_SUPPRESS}"
            f" AND (folded IN {_RELEASED} OR domain IN {_RELEASED} OR hash IN {_RELEASED})"
        )
        rows = 0
        for form in ("domain", "hash", "folded"):
            if chosen := [pattern for pattern in patterns if compared_with(pattern) == form]:
                rows += self._database.change(f"UPDATE messages {_SUPPRESS} AND {form} = ANY(%s)", (chosen,))
        return rows

    def remove(self, patterns: Iterable[str]) -> list[str]:
        """Remove entries, and return the patterns that were not on the list."""
        missing = []
        secret = self._database.secret()
        with self._database.transaction():
            for pattern in patterns:
                removed = self._database.change(
                    "DELETE FROM suppressions WHERE pattern IN (%s, %s)", (pattern, hashed(secret, pattern))
                )
                if not removed:
                    missing.append(pattern)
        return missing

    def remove_made_by(self, *, run: int | None = None, reason: str | None = None) -> int:
        """Remove the entries that a run caused, or whose reason contains a text; return how many."""
        if run is not None:
            return self._database.change("DELETE FROM suppressions WHERE run = %s", (run,))
        return self._database.change(
            "DELETE FROM suppressions WHERE strpos(lower(reason), lower(%s)) > 0 AND reason != 'forgotten'",
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
    return bool(suppressed_among(database, campaign_id, [address]))


def suppressed_among(database: Database, campaign_id: int, addresses: Collection[str]) -> set[str]:
    """Return those of the addresses that are suppressed in a campaign, with one statement."""
    secret = database.secret()
    patterns = {address: _patterns(secret, address) for address in addresses}
    listed = {
        str(pattern)
        for (pattern,) in database.rows(
            "SELECT pattern FROM suppressions"
            " WHERE pattern = ANY(%s) AND (state = 'released' OR campaign = %s)",
            ([pattern for of_one in patterns.values() for pattern in of_one], campaign_id),
        )
    }
    return {address for address, of_one in patterns.items() if not listed.isdisjoint(of_one)}


def _patterns(secret: bytes, address: str) -> tuple[str, str, str]:
    """Return the patterns that cover an address."""
    one = forms(secret, address)
    return one.folded, one.domain, one.hash
