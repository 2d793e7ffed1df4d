"""Splits long writes into batches, each in its own transaction, so that a process that sends can go on."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from campaign.ledger.sqlite.database import Database

_SIZE = 2000
_REST = 0.05  # seconds, at least; a process that waits for the lock tries more often than that

_Item = TypeVar("_Item")


def batches(database: Database, items: Iterable[_Item], size: int = _SIZE) -> Iterator[list[_Item]]:
    """Yield the items in lists; the caller writes each list in one transaction.

    Between two lists, a process that sends gets as much time as the last list took.
    """
    items = iter(items)
    batch = list(islice(items, size))
    while batch:
        began = time.monotonic()
        yield batch
        batch = list(islice(items, size))
        if batch and database.row("SELECT 1 FROM runs WHERE ended_at IS NULL") is not None:
            time.sleep(max(_REST, time.monotonic() - began))
