"""`campaign report`: write a page about what happened."""

from __future__ import annotations

import re
import time
from pathlib import Path

import click

from campaign.cli.codes import OK
from campaign.cli.options import FORCE, WRITTEN
from campaign.cli.output import echo
from campaign.errors import UserError


@click.command("report")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--output",
    "-o",
    type=WRITTEN,
    metavar="PAGE",
    help="The page to write; by default <name>-report.html beside FILE.",
)
@FORCE
def command(file: Path, output: Path | None, force: bool) -> int:
    """Write one self-contained page about FILE's campaign: counts, progress, replies, what to do next.

    It needs no network, and can be written during a send. An earlier page is overwritten; any other
    file only with --force, and the campaign's own files never.
    """
    from campaign.campaignfile.identity import identify
    from campaign.ledger import Ledger
    from campaign.outfile import is_regular, writing
    from campaign.ownfiles import OwnFiles
    from campaign.report.page import REPORT, page
    from campaign.wording import shown

    campaign = identify(file)
    name = re.sub(r"[^\w.+-]", "-", campaign.name).lstrip(".") or "campaign"
    output = output or campaign.folder / f"{name}-report.html"
    ledger = Ledger.open(campaign.ledger, campaign.name, create=False, read_only=True)
    try:
        with ledger.at_one_moment():  # a run may be sending at the same time
            now = time.time_ns()
            summary = ledger.history.summary(now)
            if not any(summary.counts.values()):
                what = f"the ledger has no campaign {campaign.name!r}: nothing was sent"
                raise UserError(ledger.problem(what))
            text = page(campaign.name, shown(campaign.file), ledger, summary, now)
    finally:
        ledger.close()
    with writing(output, REPORT, OwnFiles(campaign.file), force=force) as out:
        out.write(text.encode())
    echo(f"written to {shown(output)}", err=not is_regular(output))  # the page may have gone to stdout
    return OK
