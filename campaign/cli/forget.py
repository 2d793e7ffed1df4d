"""`campaign forget`: a person's data leaves the ledger."""

from __future__ import annotations

import time
from pathlib import Path

import click

from campaign.cli.ledgers import opened


@click.command("forget")
@click.argument("address")
@click.option(
    "--campaign", "file", type=click.Path(path_type=Path), help="A campaign file that names the ledger."
)
@click.option("--ledger", type=click.Path(path_type=Path), help="The ledger; ledger.db here without either.")
def command(address: str, file: Path | None, ledger: Path | None) -> int:
    """Remove the data of ADDRESS from every campaign of a ledger, its free pages and WAL included.

    A keyed hash stays where a suppression or "already sent" needs it, so that the person is not
    mailed again. The list itself is yours to correct.
    """
    with opened(file, ledger) as book:
        rows = book.forget(address, time.time_ns())
    click.echo(f"{address}: {rows} rows of the ledger forgotten")
    return 0
