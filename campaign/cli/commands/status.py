"""`campaign status`: show the progress of a campaign, and when it will finish."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from campaign.cli.codes import OK
from campaign.cli.output import clear, echo, echo_json

if TYPE_CHECKING:
    from campaign.campaignfile.identity import Identity
    from campaign.ledger import Ledger, Summary
    from campaign.sending.pace.outlook import Outlook

_EVERY = 2.0  # seconds between updates with --watch


@click.command("status")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object.")
@click.option(
    "--watch",
    is_flag=True,
    help="Refresh every two seconds, or less often if that takes long, until nobody is sending.",
)
def command(file: Path, as_json: bool, watch: bool) -> int:
    """Show where the campaign in FILE stands: counts, rate, when it will end, replies, domains."""
    from campaign.campaignfile.identity import identify
    from campaign.ledger import Ledger

    campaign = identify(file)
    ledger = (
        Ledger.open(campaign.ledger, campaign.name, create=False, read_only=True)
        if Ledger.exists(campaign.ledger)
        else Ledger.temporary(campaign.name)  # nothing was sent yet
    )
    try:
        while True:
            began = time.monotonic()
            summary, outlook, now = _look(campaign, ledger)
            if as_json:
                from campaign.report import machine

                echo_json(machine.status(campaign.name, summary, outlook, ledger.returns().counts(), now))
            else:
                if watch:
                    clear()
                _show(campaign, ledger, summary, outlook, now)
            if not watch or (summary.sending is None and not _is_shared_out(ledger)):
                return OK
            time.sleep(max(_EVERY, 4 * (time.monotonic() - began)))  # sending needs the disk too
    finally:
        ledger.close()


def _is_shared_out(ledger: Ledger) -> bool:
    """Whether workers send the campaign."""
    if (machines := ledger.machines) is None:
        return False
    from campaign.ledger.machines import State

    return machines.standing().state is State.SENDING


def _machine_lines(ledger: Ledger, file: Path) -> list[str]:
    """Return lines about the workers, if workers send the campaign."""
    if not _is_shared_out(ledger) or (machines := ledger.machines) is None:
        return []
    from campaign.wording import counted, shown

    runs = machines.runs()
    if not runs:
        return [f"  no worker is running; start one on any machine: campaign work {shown(file)}"]
    lately = sum(run.lately for run in runs)
    return [f"  {counted(len(runs), 'worker')} at it: {counted(lately, 'attempt')} in the last minute"]


def _look(campaign: Identity, ledger: Ledger) -> tuple[Summary, Outlook | None, int]:
    """Return the state of the campaign, its outlook if messages are left, and the time, UTC ns.

    All of it is from one moment, so that no message is counted as both started and waiting.
    """
    from campaign.clock import moment

    with ledger.at_one_moment():
        present = moment()
        now = present.utc
        summary = ledger.history.summary(now)
        if not summary.waiting:
            return summary, None, now
        from campaign.ledger import Scope
        from campaign.sending.account import load_pace
        from campaign.sending.pace.outlook import outlook
        from campaign.sending.pace.pacing import LocalPace

        pace = LocalPace(campaign.windows)
        if campaign.windows and campaign.host is not None:
            scope = Scope.of(campaign.host, campaign.username, campaign.account)
            load_pace(pace, scope, campaign.windows, ledger, present)
    rows = summary.not_started - summary.copies_not_started
    addresses = rows * (1 + campaign.copies) + summary.copies_not_started
    ahead = outlook(pace, addresses, summary.next_due, present.steady, now, summary.last_due)
    return summary, ahead, now


def _show(campaign: Identity, ledger: Ledger, summary: Summary, outlook: Outlook | None, now: int) -> None:
    from campaign.report import terminal
    from campaign.wording import shown

    if not any(summary.counts.values()):
        echo(f"{campaign.name}: nothing was sent yet")
        return
    returned: Iterable[str] = ()
    if summary.came_back:
        from campaign.report.returned import returned_lines

        returned = returned_lines(ledger.returns(), shown(campaign.file))
    for line in (
        *terminal.summary_lines(campaign.name, summary),
        *_machine_lines(ledger, campaign.file),
        *terminal.outlook_lines(outlook, campaign.windows, now),
        *terminal.domain_lines(ledger.history, summary, now),
        *terminal.reply_lines(ledger.history.replies(now)),
        *returned,
        *terminal.next_lines(shown(campaign.file), summary),
    ):
        echo(line)
