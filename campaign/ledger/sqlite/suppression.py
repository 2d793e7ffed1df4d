"""The suppression list: who gets nothing from any campaign of a ledger.

Patterns are folded addresses, or `@domain` for all of a domain. An address that was forgotten is
kept as a keyed hash. A change holds from the next message on, also while another process sends:
rows that wait become `suppressed` with it, and may be `pending` again after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from campaign.address import fold, parse_address
from campaign.ledger.sqlite.database import Database


@dataclass(frozen=True, slots=True)
class Suppression:
    """An entry: a folded address, `@domain`, or `#` and a hash; why, and since when (UTC ns)."""

    pattern: str
    reason: str
    added_at: int


def parse_pattern(text: str) -> str:
    """Return the pattern for an address, `@example.com` or `example.com`. Raises AddressError."""
    text = text.strip()
    if text.startswith("#") and len(text) == 65:
        return text
    if "@" not in text or text.startswith("@"):
        return "@" + fold(parse_address(f"x@{text.removeprefix('@')}").partition("@")[2])
    return fold(parse_address(text))


class Suppressions:
    """The list of one ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, entries: Iterable[Suppression]) -> tuple[int, int]:
        """Add entries; return how many are new, and how many waiting rows are suppressed by them."""
        added = []
        with self._database.transaction():
            for entry in entries:
                new = self._database.change(
                    # Who was forgotten is on the list already, as a hash, and stays unnamed.
                    "INSERT INTO suppressions SELECT ?1, ?2, ?3 WHERE NOT EXISTS"
                    " (SELECT 1 FROM suppressions WHERE pattern = hashed(?1)) ON CONFLICT DO NOTHING",
                    (entry.pattern, entry.reason, entry.added_at),
                )
                if new:
                    added.append(entry.pattern)
            return len(added), self._suppress_waiting({pattern[0] for pattern in added})

    def _suppress_waiting(self, kinds: set[str]) -> int:
        """Suppress the rows that wait; `kinds` are the new patterns' first characters."""
        forms = {"@": "domain_of(email)", "#": "hashed(email)"}
        wanted = {forms.get(kind, "fold(email)") for kind in kinds}
        if not wanted:
            return 0
        held = " OR ".join(f"{form} IN (SELECT pattern FROM suppressions)" for form in sorted(wanted))
        return self._database.change(
            "UPDATE messages SET status = 'suppressed', reply = ''"
            f" WHERE status IN ('pending', 'deferred') AND ({held})"
        )

    def remove(self, patterns: Iterable[str]) -> list[str]:
        """Remove entries; return those that were not there. The next `send` mails them again."""
        missing = []
        with self._database.transaction():
            for pattern in patterns:
                removed = self._database.change(
                    "DELETE FROM suppressions WHERE pattern = ?1 OR pattern = hashed(?1)", (pattern,)
                )
                if not removed:
                    missing.append(pattern)
        return missing

    def __iter__(self) -> Iterator[Suppression]:
        for pattern, reason, added_at in self._database.each("SELECT * FROM suppressions ORDER BY pattern"):
            yield Suppression(str(pattern), str(reason), added_at)

    def __len__(self) -> int:
        found = self._database.row("SELECT count(*) FROM suppressions")
        return found[0] if found else 0
