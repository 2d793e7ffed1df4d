"""Detects whether claimed rows may have changed since they were read.

Changes by another process are looked for only in transactions that take place anyway: to ask costs as
much as to read the row. So a change made just now is noticed at the next intent.
"""

from __future__ import annotations

from collections.abc import Iterable

from campaign.ledger.sqlite.database import OTHERS_CHANGES, Database


class Watch:
    """The keys of claimed rows that nobody can have changed.

    Call its methods with the database's lock held.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys: set[str] = set()
        found = database.row(OTHERS_CHANGES)
        self._others = found[0] if found else 0
        self._own = database.own_changes

    def look(self) -> None:
        """Forget all keys if anything changed that was not `accept`ed."""
        others, own = self._database.execute_within(OTHERS_CHANGES).fetchone()[0], self._database.own_changes
        if (others, own) != (self._others, self._own):
            self._keys.clear()
        self._others, self._own = others, own

    def add(self, keys: Iterable[str]) -> None:
        """Add rows that were read after the last `look`."""
        self._keys.update(keys)

    def accept(self) -> None:
        """Declare that this connection's changes since the last `look` did not concern these rows."""
        self._own = self._database.own_changes

    def clear(self) -> None:
        """Forget all keys."""
        self._keys.clear()

    def __contains__(self, key: str) -> bool:
        if self._database.own_changes != self._own:
            self._keys.clear()
        return key in self._keys
