"""`campaign rehearse`: run the whole campaign against a server inside this program."""

from __future__ import annotations

from pathlib import Path

import click

from campaign.cli.output import Output
from campaign.errors import Problem
from campaign.wording import counted


@click.command("rehearse")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--faults",
    default="",
    help="What the server does to some messages: refuse, defer, drop, doubt, such as refuse:5%,defer.",
)
@click.option("--paced", is_flag=True, help="Apply the rates, and the delays before a retry.")
@click.option("--skip-bad-rows", is_flag=True, help="Skip bad rows; the exit code is 5.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@click.option("--verbose", "-v", is_flag=True, help="Print every attempt.")
def command(file: Path, faults: str, paced: bool, skip_bad_rows: bool, quiet: bool, verbose: bool) -> int:
    """Send the whole campaign in FILE over real SMTP and TLS to a server inside this program.

    It logs in and uses pipelining, with a temporary ledger and certificate. Nothing leaves this machine, and
    no password, token or secret command is run.
    """
    from campaign.cli.audience import Rehearsal
    from campaign.cli.ending import exit_code
    from campaign.rehearsal import RehearsalServer, parse_faults, rehearsal_logins, rehearsed
    from campaign.report import terminal
    from campaign.sending.job import run
    from campaign.sending.plan import Mode, Options
    from campaign.sending.preflight.reading import read

    output = Output(quiet=quiet, verbose=verbose)
    with RehearsalServer(parse_faults(faults)) as server:
        campaign = rehearsed(read(file, output.progress), server, paced=paced)
        options = Options(mode=Mode.REHEARSAL, skip_bad_rows=skip_bad_rows, logins=rehearsal_logins(server))
        finished = run(campaign, options, Rehearsal(output))
        if finished.stop.why:
            output.problems([Problem(finished.stop.why)])
        if finished.summary is not None:
            output.lines(terminal.summary_lines(campaign.name, finished.summary))
            output.lines(terminal.reply_lines(finished.replies))
        twice = sum(1 for count in server.received.values() if count > 1)
        output.lines(
            [
                f"  the server took {counted(server.messages, 'message')} for"
                f" {counted(len(server.received), 'address', 'addresses')} in {finished.took:.1f} s,"
                f" {counted(server.sessions, 'session')} over STARTTLS",
                "  nobody got it twice"
                if not twice
                else f"  {counted(twice, 'address', 'addresses')} got more than one",
                "  nothing left this machine",
            ]
        )
        return exit_code(finished)
