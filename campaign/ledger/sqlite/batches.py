"""Long writes in batches, each in a transaction of its own: a process that sends goes on meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from campaign.ledger.sqlite.database import Database

_SIZE = 2000
_REST = 0.05  # seconds, at least; who waits for the lock looks for it more often than that

_Item = TypeVar("_Item")


def batches(database: Database, items: Iterable[_Item], size: int = _SIZE) -> Iterator[list[_Item]]:
    """Yield the items in lists; whoever takes one writes it in one transaction.

    After each, a process that sends has as much time for its own as the batch took.
    """
    items = iter(items)
    batch = list(islice(items, size))
    while batch:
        began = time.monotonic()
        yield batch
        batch = list(islice(items, size))
        if batch and database.row("SELECT 1 FROM runs WHERE ended_at IS NULL") is not None:
            time.sleep(max(_REST, time.monotonic() - began))
