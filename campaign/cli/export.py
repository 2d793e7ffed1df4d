"""`campaign export`: rows by status, as a CSV that is itself a list."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from campaign.errors import UserError
from campaign.wording import counted


@click.command("export")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--status", "statuses", default="", help="Statuses, separated by commas; all of them without it."
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file to write, instead of stdout.",
)
def command(file: Path, statuses: str, output: Path | None) -> int:
    """Write the rows of FILE's campaign with their original columns, campaign_status and campaign_reply.

    `campaign export FILE --status refused -o again.csv` gives a list to correct and send again.
    """
    from campaign.campaignfile.identity import identify
    from campaign.ledger import Ledger
    from campaign.model import Status
    from campaign.report import table

    wanted = []
    for word in filter(None, (word.strip().lower().replace("-", "_") for word in statuses.split(","))):
        if word not in set(Status):
            raise UserError(f"--status: {word!r} is none of {', '.join(Status)}")
        wanted.append(Status(word))
    campaign = identify(file)
    if output is not None and campaign.names(output):
        raise UserError(f"{output} is one of the campaign's own files; name another one")
    ledger = Ledger.open(campaign.ledger, campaign.name, create=False, read_only=True)
    try:
        found = ledger.history.entries(time.time_ns(), wanted or tuple(Status))
        entries = (entry for entry in found if not entry.forgotten)
        columns = ledger.history.all_columns()
        copies = table.copies_by_key(ledger.history.copies(time.time_ns(), table.COPY_STATUSES))
        if output is None:
            table.write(sys.stdout, columns, entries, copies)
            return 0
        try:
            with output.open("w", encoding="utf-8", newline="") as out:
                count = table.write(out, columns, entries, copies)
        except OSError as error:
            raise UserError(f"{output} cannot be written: {error.strerror}") from None
        click.echo(f"{output}: {counted(count, 'row')}", err=True)
        return 0
    finally:
        ledger.close()
