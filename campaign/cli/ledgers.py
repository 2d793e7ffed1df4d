"""Open the ledger for a command that does not concern a single campaign."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from campaign.cli.output import echo
from campaign.errors import UserError

if TYPE_CHECKING:
    from campaign.campaignfile.location import Location
    from campaign.ledger import Ledger
    from campaign.outfile import Own

_HERE = Path("ledger.db")


@contextmanager
def opened(
    file: Path | None, location: Location | None, *, create: bool = False, read_only: bool = False
) -> Iterator[Ledger]:
    """Open the ledger that a campaign file names, or the one at `location`, or ledger.db here.

    Raises UserError if both are given, or if neither is and there is no ledger here (unless `create`).
    """
    from campaign.ledger import Ledger
    from campaign.wording import shown

    if file is not None and location is not None:
        raise UserError("give only one of --campaign and --ledger")
    if file is not None:
        from campaign.campaignfile.identity import identify

        location = identify(file).ledger
    if location is None and not create and not _HERE.exists():
        raise UserError(
            f"there is no {_HERE} in this folder: name the campaign file with --campaign FILE, or the"
            " ledger itself with --ledger PATH"
        )
    location = location or _HERE
    new = create and not Ledger.exists(location)
    ledger = Ledger.open(location, "", create=create, read_only=read_only)
    try:
        if new:
            where = shown(location.absolute()) if isinstance(location, Path) else location
            echo(f"{where} is a new ledger", err=True)
        yield ledger
    finally:
        ledger.close()


def own_files(file: Path | None, location: Location | None) -> Own:
    """Return the files that a command with these options must not overwrite."""
    from campaign.ownfiles import LedgerFiles, OwnFiles

    return OwnFiles(file) if file is not None else LedgerFiles(location or _HERE)
