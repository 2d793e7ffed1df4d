"""`campaign stop`: stop the workers that send a campaign."""

from __future__ import annotations

from pathlib import Path

import click

from campaign.cli.codes import OK
from campaign.cli.output import echo


@click.command("stop")
@click.argument("file", type=click.Path(path_type=Path))
def command(file: Path) -> int:
    """Stop the workers that send the campaign in FILE: at most one more message for each connection leaves.

    `campaign send FILE` resumes it. A `send` that is still preparing it, or sends it without workers, is
    not stopped but named: end it with Ctrl-C.
    """
    from campaign.campaignfile.identity import identify
    from campaign.errors import LeaseHeld
    from campaign.ledger import Ledger
    from campaign.ledger.machines import State
    from campaign.sending.workers.drain import machines_of
    from campaign.wording import shown

    campaign = identify(file)
    ledger = Ledger.open(campaign.ledger, campaign.name, create=False)
    try:
        machines = machines_of(ledger)
        if machines.end(State.STOPPED, "somebody stopped it"):
            echo(f"{campaign.name} is stopped; `campaign send {shown(campaign.file)}` resumes it")
        elif (run := machines.unshared_run()) is not None:
            what = f"process {run.pid} on {run.host} is still preparing {campaign.name}, or sends it alone"
            raise LeaseHeld(f"{what}, and continues: end it there with Ctrl-C or SIGTERM")
        else:
            echo(f"{campaign.name} is not being sent: it is {machines.standing().state}")
    finally:
        ledger.close()
    return OK
