"""Which ledger a command means that is about no single campaign."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from campaign.cli.output import echo
from campaign.errors import UserError

if TYPE_CHECKING:
    from campaign.ledger import Ledger

_HERE = Path("ledger.db")


@contextmanager
def opened(
    file: Path | None, path: Path | None, *, create: bool = False, read_only: bool = False
) -> Iterator[Ledger]:
    """Open the ledger that a campaign file names, or the one at `path`, or ledger.db here.

    Raises UserError if both are given, or neither and there is no ledger here (unless `create`).
    """
    from campaign.ledger import Ledger
    from campaign.wording import shown

    if file is not None and path is not None:
        raise UserError("--campaign and --ledger name a ledger each; give one of them")
    if file is not None:
        from campaign.campaignfile.identity import identify

        path = identify(file).ledger
    if path is None and not create and not _HERE.exists():
        raise UserError(
            f"there is no {_HERE} in this folder: name a campaign file with --campaign FILE, whose ledger"
            " it is, or the ledger itself with --ledger PATH"
        )
    path = path or _HERE
    new = create and not path.exists()
    ledger = Ledger.open(path, "", create=create, read_only=read_only)
    try:
        if new:
            echo(f"{shown(path.absolute())} is a new ledger", err=True)
        yield ledger
    finally:
        ledger.close()
