"""`campaign backup`: write a consistent copy of the ledger."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import click

from campaign.cli.codes import OK
from campaign.cli.options import FORCE, WRITTEN
from campaign.cli.output import echo
from campaign.errors import UserError


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("to", type=WRITTEN)
@FORCE
def command(file: Path, to: Path, force: bool) -> int:
    """Copy the ledger of FILE's campaign to TO, even during a send.

    To restore it, put the copy in the ledger's place. `send` recognises that it is old, and refuses it until
    `campaign resolve FILE --from-log MAIL.LOG` has settled what was sent since.
    """
    from campaign.campaignfile.identity import identify
    from campaign.ledger import Ledger
    from campaign.outfile import Kind, writing
    from campaign.ownfiles import OwnFiles

    campaign = identify(file)
    if Path(f"{to}-wal").exists():
        raise UserError(f"{to}-wal exists: {to} is a ledger that is in use; name another file")
    empty = Kind("an empty file", lambda head: False, private=True)
    ledger = Ledger.open(campaign.ledger, campaign.name, create=False, read_only=True)
    try:
        with (
            writing(to, empty, OwnFiles(campaign.file), force=force) as out,
            # SQLite creates files by name; this one is private until it replaces `to`.
            tempfile.TemporaryDirectory(prefix=".campaign-", dir=to.absolute().parent) as folder,
        ):
            copy = Path(folder, "ledger.db")
            ledger.back_up(copy, time.time_ns())
            with copy.open("rb") as octets:
                shutil.copyfileobj(octets, out)
    finally:
        ledger.close()
    echo(f"{to} is a copy of the ledger")
    return OK
