"""A transaction on a ledger's connection, from BEGIN to COMMIT.

A class and no generator: each message that is sent comes by here.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Protocol

from campaign.ledger.sqlite.opening import Translated


class Transactional(Protocol):
    """What a transaction asks of its `Database`."""

    lock: threading.RLock
    translated: Translated

    def begin(self, full: bool, patience: float) -> None: ...
    def commit(self) -> None: ...
    def roll_back(self) -> None: ...
    def refuse_moved(self) -> None: ...


class Transaction:
    """What `Database.transaction` returns; it is entered once, and holds the database's lock meanwhile."""

    def __init__(self, database: Transactional, full: bool, patience: float) -> None:
        self._database, self._full, self._patience = database, full, patience

    def __enter__(self) -> None:
        database = self._database
        if self._full:
            database.refuse_moved()
        database.lock.acquire()
        try:
            database.begin(self._full, self._patience)
        except BaseException as failure:
            database.lock.release()
            database.translated.tell(failure)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        database = self._database
        try:
            if error is None:
                database.commit()
            else:
                database.roll_back()
                database.translated.tell(error)  # of a statement that was executed by `within`
        except BaseException as failure:
            database.translated.tell(failure)
            raise
        finally:
            database.lock.release()
