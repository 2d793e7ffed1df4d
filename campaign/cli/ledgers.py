"""Which ledger a command means that is about no single campaign."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from campaign.errors import UserError

if TYPE_CHECKING:
    from campaign.ledger import Ledger


@contextmanager
def opened(
    file: Path | None, path: Path | None, *, create: bool = False, read_only: bool = False
) -> Iterator[Ledger]:
    """Open the ledger that a campaign file names, or that stands at `path`, or ledger.db here."""
    from campaign.ledger import Ledger
    from campaign.wording import shown

    if file is not None and path is not None:
        raise UserError("--campaign and --ledger name a ledger each; give one of them")
    if file is not None:
        from campaign.campaignfile.identity import identify

        path = identify(file).ledger
    path = path or Path("ledger.db")
    new = create and not path.exists()
    ledger = Ledger.open(path, "", create=create, read_only=read_only)
    try:
        if new:
            click.echo(f"{shown(path.absolute())} is a new ledger", err=True)
        yield ledger
    finally:
        ledger.close()
