"""A transaction on a ledger's connection, from BEGIN to COMMIT.

A class is faster than a generator-based context manager; there is one transaction for each message.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Protocol

from campaign.ledger.sqlite.opening import TranslatedErrors


class Transactional(Protocol):
    """What a transaction needs from its `Database`."""

    lock: threading.RLock
    translated: TranslatedErrors

    def begin(self, full: bool, patience: float) -> None: ...
    def commit(self) -> None: ...
    def roll_back(self) -> None: ...
    def refuse_moved(self) -> None: ...


class Transaction:
    """The context manager that `Database.transaction` returns. It can be entered once, and holds the lock."""

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
            database.translated.raise_for(failure)
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
                database.translated.raise_for(error)  # from a statement executed with `execute_within`
        except BaseException as failure:
            database.translated.raise_for(failure)
            raise
        finally:
            database.lock.release()
