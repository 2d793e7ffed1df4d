"""`campaign export`: write rows by status as a CSV, which is itself a valid list."""

from __future__ import annotations

import io
import time
from pathlib import Path

import click

from campaign.cli.codes import OK
from campaign.cli.options import FORCE, WRITTEN
from campaign.cli.output import Data, echo
from campaign.errors import UserError
from campaign.wording import counted


@click.command("export")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--status", "statuses", default="", help="Statuses, separated by commas; by default all.")
@click.option("--bounced", is_flag=True, help="Only rows for which something came back, and what it was.")
@click.option("--output", "-o", type=WRITTEN, help="A file to write, instead of stdout.")
@FORCE
def command(file: Path, statuses: str, bounced: bool, output: Path | None, force: bool) -> int:
    """Write the rows of FILE's campaign with their original columns, campaign_status and campaign_reply.

    `campaign export FILE --status refused -o again.csv` writes a list to correct and send again.

    With --bounced, campaign_returned says what came back for a row: a bounce, a complaint, an unsubscribe.

    An earlier export is overwritten; any other file only with --force, and the campaign's own files
    never. Cells are written unchanged, in UTF-8; control characters in them are made visible only on a
    terminal.
    """
    from campaign.campaignfile.identity import identify
    from campaign.ledger import Ledger
    from campaign.model import Status
    from campaign.report.table import COPY_STATUSES, EXPORT, copies_by_key, original, write

    words = [word.strip().lower().replace("-", "_") for word in statuses.split(",") if word.strip()]
    wrong = [word for word in words if word not in set(Status)]
    if wrong:
        raise UserError(*(f"--status: {word!r} is not one of {', '.join(Status)}" for word in wrong))
    wanted = [Status(word) for word in words]
    campaign = identify(file)
    ledger = Ledger.open(campaign.ledger, campaign.name, create=False, read_only=True)
    try:
        now = time.time_ns()
        columns = original(ledger.history.all_columns())
        rows = ledger.history.cells(now, wanted or tuple(Status), columns)
        copies = copies_by_key(ledger.history.copies(now, COPY_STATUSES))
        returned = ledger.returns().last_words() if bounced else None
        if output is None:
            write(Data(), columns, rows, copies, returned)
            return OK
        from campaign.outfile import writing
        from campaign.ownfiles import OwnFiles

        with writing(output, EXPORT, OwnFiles(campaign.file), force=force) as octets:
            text = io.TextIOWrapper(octets, "utf-8", errors="backslashreplace", newline="")
            count = write(text, columns, rows, copies, returned)
            text.detach()  # this flushes; `writing` closes the file
        echo(f"{output}: {counted(count, 'row')}", err=True)
        return OK
    finally:
        ledger.close()
