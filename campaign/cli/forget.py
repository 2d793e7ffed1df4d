"""`campaign forget`: a person's data leaves the ledger."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import click

from campaign.cli.codes import OK
from campaign.cli.ledgers import opened
from campaign.cli.options import of_a_ledger
from campaign.cli.output import echo
from campaign.wording import counted

_PATIENCE = 15.0  # seconds; a process that sends has a heartbeat every five


@click.command("forget")
@click.argument("address")
@of_a_ledger
def command(address: str, file: Path | None, ledger: Path | None) -> int:
    """Remove the data of ADDRESS from every campaign of a ledger, its free pages and WAL included.

    A keyed hash of the address stays on the suppression list, so that the person is not mailed again
    although a list names them still. `campaign suppress remove ADDRESS` takes that back. The lists
    themselves, exports and --log files are yours to correct.
    """
    from campaign.address import AddressError, parse_address

    with suppress(AddressError):  # a bad row may have held anything
        address = parse_address(address)
    with opened(file, ledger) as book:
        rows = book.forget(address, time.time_ns())
        echo(
            f"{address}: {counted(rows, 'row')} of the ledger forgotten;"
            " kept as a hash among the suppressions"
        )
        until = time.monotonic() + _PATIENCE
        while not (done := book.scrubbed(time.time_ns())) and time.monotonic() < until:
            time.sleep(0.2)
    if not done:
        echo(
            "The file holds remains of it still: a process that reads or sends is in the way, or there is no"
            " room for a copy. They go with the next send, or when you ask again.",
            err=True,
        )
    return OK
