"""`campaign forget`: remove a person's data from the ledger."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from campaign.cli.codes import OK
from campaign.cli.ledgers import opened
from campaign.cli.options import of_a_ledger
from campaign.cli.output import echo
from campaign.errors import LeaseHeld
from campaign.wording import counted

if TYPE_CHECKING:
    from campaign.campaignfile.location import Location
    from campaign.ledger import Forgotten

_PATIENCE = 15.0  # seconds to wait while another process reads


@click.command("forget")
@click.argument("address")
@of_a_ledger
def command(address: str, file: Path | None, ledger: Location | None) -> int:
    """Remove the data of ADDRESS from every campaign of a ledger, including free pages and the WAL.

    ADDRESS is one address, or the exact text of a cell of a bad row. A keyed hash of it stays on the
    suppression list, so that the person is not mailed again if a list still contains them; `campaign
    suppress remove ADDRESS` undoes that. Lists, exports and --log files are not changed: correct them
    yourself.
    """
    with opened(file, ledger) as book:
        done = book.forget(address, time.time_ns())
        for line in _outcome_lines(address.strip(), done):
            echo(line)
        until = time.monotonic() + _PATIENCE
        try:
            while not (clean := book.scrub(time.time_ns())) and time.monotonic() < until:
                time.sleep(0.2)
        except LeaseHeld as held:
            sender = held.problems[0].message.partition(";")[0]
            echo(f"The file still contains traces of it: {sender}. It removes them when its run has ended.")
            return OK
    if not clean:
        echo(
            "The file still contains traces of it, because another process is reading. The next send removes"
            " them, and so does this command if you repeat it.",
            err=True,
        )
    return OK


def _outcome_lines(address: str, done: Forgotten) -> Iterator[str]:
    if done.found:
        rows = counted(done.rows, "row")
        yield f"{address}: {rows} of the ledger forgotten; kept as a hash among the suppressions"
    elif done.earlier:
        yield f"{address} was forgotten already, and is suppressed by its hash; nothing was changed"
    else:
        yield f"{address} is not in the ledger; nothing was changed, and nobody is suppressed"
        yield "  to keep every campaign from mailing it:  campaign suppress add ADDRESS"
    if done.others:
        rows = counted(done.others, "row of another person names", "rows of other people name")
        yield f"{rows} it in a cell, perhaps as cc; they stay. It gets no copies."
        yield "  Take it out of the list: the next send updates the rows that are still to be sent."
