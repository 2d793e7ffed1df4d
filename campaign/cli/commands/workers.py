"""`campaign workers`: show which workers are sending a campaign."""

from __future__ import annotations

from pathlib import Path

import click

from campaign.cli.codes import OK
from campaign.cli.output import echo, echo_json
from campaign.model import SECOND


@click.command("workers")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object.")
def command(file: Path, as_json: bool) -> int:
    """Show the workers that send the campaign in FILE: host, process, last sign of life, rate."""
    from campaign.campaignfile.identity import identify
    from campaign.ledger import Ledger
    from campaign.sending.workers.drain import machines_of
    from campaign.wording import counted

    campaign = identify(file)
    ledger = Ledger.open(campaign.ledger, campaign.name, create=False)
    try:
        machines = machines_of(ledger)
        standing, runs, alone = machines.standing(), machines.runs(), machines.unshared_run()
    finally:
        ledger.close()
    if as_json:
        workers = [
            {
                "host": run.host,
                "pid": run.pid,
                "seconds": run.age // SECOND,
                "silent": run.silent // SECOND,
                "attempts": run.attempts,
                "last_minute": run.lately,
            }
            for run in runs
        ]
        only = {"host": alone.host, "pid": alone.pid} if alone is not None else None
        echo_json({"state": standing.state, "why": standing.why, "alone": only, "workers": workers})
        return OK
    why = f": {standing.why}" if standing.why else ""
    echo(f"{campaign.name}: {standing.state}{why}; {counted(len(runs), 'worker')}")
    if alone is not None:
        echo(f"  {alone.host} {alone.pid}: `campaign send` is preparing it, or sends it alone")
    for run in runs:
        echo(
            f"  {run.host} {run.pid}: {counted(run.attempts, 'attempt')} in {run.age // SECOND} s,"
            f" {run.lately:,} in the last minute; seen {run.silent // SECOND} s ago"
        )
    return OK
