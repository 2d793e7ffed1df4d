"""A transaction on a ledger's connection, from BEGIN to COMMIT.

A class and no generator: each message that is sent comes by here.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from campaign.ledger.sqlite.database import Database


class Transaction:
    """What `Database.transaction` returns; it is entered once, and holds the database's lock meanwhile."""

    def __init__(self, database: Database, full: bool, patience: float) -> None:
        self._database, self._full, self._patience = database, full, patience

    def __enter__(self) -> None:
        database = self._database
        if self._full:
            database.refuse_moved()
        database.lock.acquire()
        try:
            with database.translated:
                database.begin(self._full, self._patience)
        except BaseException:
            database.lock.release()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        database = self._database
        try:
            with database.translated:
                if error is None:
                    database.commit()
                else:
                    database.roll_back()
        finally:
            database.lock.release()
