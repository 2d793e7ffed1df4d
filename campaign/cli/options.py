"""Options that several commands have, with one meaning."""

from __future__ import annotations

from pathlib import Path

import click

FORCE = click.option("--force", is_flag=True, help="Overwrite another file that is there already.")

_CAMPAIGN = click.option(
    "--campaign", "file", type=click.Path(path_type=Path), help="A campaign file that names the ledger."
)
_LEDGER = click.option(
    "--ledger", type=click.Path(path_type=Path), help="The ledger; ledger.db here without either."
)


def of_a_ledger(function: click.decorators.FC) -> click.decorators.FC:
    """Add the two options that name a ledger, `file` and `ledger`."""
    return _CAMPAIGN(_LEDGER(function))
