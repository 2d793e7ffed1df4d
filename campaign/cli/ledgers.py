"""Which ledger a command means that is about no single campaign."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from campaign.errors import UserError

if TYPE_CHECKING:
    from campaign.ledger import Ledger


@contextmanager
def opened(file: Path | None, path: Path | None, *, create: bool = False) -> Iterator[Ledger]:
    """Open the ledger that a campaign file names, or that stands at `path`, or ledger.db here."""
    from campaign.campaignfile import load
    from campaign.ledger import Ledger

    if file is not None and path is not None:
        raise UserError("--campaign and --ledger name a ledger each; give one of them")
    if file is not None:
        path = load(file).ledger
    path = path or Path("ledger.db")
    ledger = Ledger.open(path, "", create=create) if create else Ledger.open(path, "", create=False)
    try:
        yield ledger
    finally:
        ledger.close()
