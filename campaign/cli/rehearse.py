"""`campaign rehearse`: the whole campaign, and nothing leaves the machine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from campaign.cli.output import Output
from campaign.errors import Problem, UserError

if TYPE_CHECKING:
    from campaign.ledger import Claim
    from campaign.model import Result


@click.command("rehearse")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--faults",
    default="",
    help="What the server does to some: refuse, defer, drop, doubt, as refuse:5%,defer.",
)
@click.option("--paced", is_flag=True, help="Keep the rates and the waits before a retry.")
@click.option("--skip-bad-rows", is_flag=True, help="Leave bad rows out.")
@click.option("--quiet", "-q", is_flag=True, help="Say errors only.")
@click.option("--verbose", "-v", is_flag=True, help="Name every attempt.")
def command(file: Path, faults: str, paced: bool, skip_bad_rows: bool, quiet: bool, verbose: bool) -> int:
    """Send the whole campaign in FILE over real SMTP and TLS to a server inside this program.

    With login and pipelining, a temporary ledger and certificate. Nothing leaves this machine, and no
    password, token or secret command is run.
    """
    from campaign.campaignfile.load import load
    from campaign.cli.ending import exit_code
    from campaign.cli.signals import interruptible
    from campaign.ledger import Ledger
    from campaign.message.context import Secrets
    from campaign.preparation import prepare
    from campaign.rehearsal import RehearsalServer, parse_faults, rehearsal_login, rehearsed
    from campaign.report import terminal
    from campaign.sending.sender import Sender, scope_of

    output = Output(quiet=quiet, verbose=verbose)
    with RehearsalServer(parse_faults(faults)) as server:
        campaign = rehearsed(load(file), server, paced=paced)
        ledger = Ledger.temporary(campaign.name)
        try:
            preparation = prepare(campaign, ledger.enrolment(), Secrets.placeholder(), output.progress)
            if preparation.errors and not skip_bad_rows:
                raise UserError(*preparation.errors)
            output.lines([f"{campaign.name}: rehearsing {preparation.plan.to_send:,} messages on localhost"])
            preparation.enrolment.apply(time.time_ns())
            longest = int(campaign.retry.max_delay * 2e9)
            sending = ledger.start(scope_of(campaign), time.time_ns(), longest)
            done = 0

            def on_result(claim: Claim, result: Result) -> None:
                nonlocal done
                if output.verbose:
                    output.note(f"{result.status:<9} {claim.recipient.email}  {result.reply}")
                done += result.status not in ("pending", "deferred")
                output.progress("sending", done, max(preparation.plan.to_send, done))

            sender = Sender(
                campaign, preparation.renderer, sending, rehearsal_login(server), on_result=on_result
            )
            began = time.monotonic()
            with interruptible(sender):
                stop = sender.run()
            took = time.monotonic() - began
            sending.end(time.time_ns())
            output.end_bar()
            if stop.why:
                output.problems([Problem(stop.why)])
            summary = ledger.history.summary(time.time_ns())
            output.lines(terminal.summary_lines(campaign.name, summary))
            output.lines(terminal.reply_lines(ledger.history, time.time_ns()))
            twice = sum(1 for count in server.received.values() if count > 1)
            output.lines(
                [
                    f"  the server took {server.messages:,} messages for {len(server.received):,} addresses"
                    f" in {took:.1f} s, {server.sessions} sessions over STARTTLS",
                    "  nobody got two" if not twice else f"  {twice:,} addresses got more than one",
                    "  nothing left this machine",
                ]
            )
            return exit_code(summary, stop)
        finally:
            ledger.close()
