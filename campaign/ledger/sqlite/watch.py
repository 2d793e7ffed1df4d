"""Whether anybody has changed the file since some rows were read: if not, they are as they were.

Whether another process has is looked at in transactions that are there anyway: asking alone costs as
much as reading the row. So one that has changed just now is noticed with the next intent.
"""

from __future__ import annotations

from collections.abc import Iterable

from campaign.ledger.sqlite.database import OTHERS_CHANGES, Database


class Watch:
    """Keys of rows that nobody can have changed since they were claimed.

    Call its methods with the database's lock.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys: set[str] = set()
        found = database.row(OTHERS_CHANGES)
        self._others = found[0] if found else 0
        self._own = database.own_changes

    def look(self) -> None:
        """Forget every key if something was changed that was not `accept`ed."""
        others, own = self._database.within(OTHERS_CHANGES).fetchone()[0], self._database.own_changes
        if (others, own) != (self._others, self._own):
            self._keys.clear()
        self._others, self._own = others, own

    def add(self, keys: Iterable[str]) -> None:
        """Add rows that were read after the last look."""
        self._keys.update(keys)

    def accept(self) -> None:
        """Let what this connection has changed since the last look be of other rows."""
        self._own = self._database.own_changes

    def clear(self) -> None:
        """Forget every key."""
        self._keys.clear()

    def __contains__(self, key: str) -> bool:
        if self._database.own_changes != self._own:
            self._keys.clear()
        return key in self._keys
