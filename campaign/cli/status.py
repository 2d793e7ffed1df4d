"""`campaign status`: where it stands, and when it will finish."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from campaign.cli.codes import OK
from campaign.cli.output import clear, echo, echo_json

if TYPE_CHECKING:
    from campaign.campaignfile.identity import Identity
    from campaign.ledger import Ledger, Summary

_EVERY = 2.0  # seconds between looks with --watch


@click.command("status")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object.")
@click.option("--watch", is_flag=True, help="Look again every two seconds, until nobody is sending.")
def command(file: Path, as_json: bool, watch: bool) -> int:
    """Say where the campaign in FILE stands: counts, rate, when it will end, replies, domains."""
    from campaign.campaignfile.identity import identify
    from campaign.ledger import Ledger
    from campaign.report import machine

    campaign = identify(file)
    ledger = (
        Ledger.open(campaign.ledger, campaign.name, create=False, read_only=True)
        if campaign.ledger.exists()
        else Ledger.temporary(campaign.name)  # nothing was sent yet, and that can be said
    )
    try:
        while True:
            now = time.time_ns()
            summary = ledger.history.summary(now)
            if as_json:
                echo_json(machine.status(campaign.name, summary))
            else:
                if watch:
                    clear()
                _show(campaign, ledger, summary, now)
            if not watch or summary.sending is None:
                return OK
            time.sleep(_EVERY)
    finally:
        ledger.close()


def _show(campaign: Identity, ledger: Ledger, summary: Summary, now: int) -> None:
    from campaign.report import terminal
    from campaign.wording import shown

    if not any(summary.counts.values()):
        echo(f"{campaign.name}: nothing was sent yet")
        return
    for line in (
        *terminal.summary_lines(campaign.name, summary),
        *terminal.rate_lines(campaign, ledger, summary, now),
        *terminal.domain_lines(ledger.history, now),
        *terminal.reply_lines(ledger.history.replies(now)),
        *terminal.next_lines(shown(campaign.file), summary, now),
    ):
        echo(line)
