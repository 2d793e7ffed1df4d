"""`campaign send`: send a campaign, or resume it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from campaign.cli.options import DURATION, JOBS, LOG, WAIT
from campaign.cli.output import Output
from campaign.errors import LeaseHeld, LedgerBusy, LedgerFull, NotAccepted, UserError
from campaign.wording import shown

if TYPE_CHECKING:
    from campaign.campaignfile.models import CampaignFile
    from campaign.ledger.protocols import Choices
    from campaign.sending.audience import Finished
    from campaign.sending.plan import Options


@click.command("send")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--dry-run", is_flag=True, help="Render everything, show the plan and the first message; send nothing."
)
@click.option("--limit", type=click.IntRange(min=1), help="Make at most N attempts in this run.")
@click.option("--yes", is_flag=True, help="Do not ask. Accepts no change since an earlier run.")
@click.option(
    "--skip-bad-rows", is_flag=True, help="Send the other rows, and record the bad ones as invalid."
)
@click.option("--accept", default="", help="Accept changes: content, keys, name, list, copy, bounces.")
@click.option("--accept-changes", is_flag=True, help="The same as --accept content.")
@click.option("--resend-doubt", is_flag=True, help="Mail those in doubt again; they may get it twice.")
@click.option("--retry-refused", is_flag=True, help="Try again what was refused earlier.")
@click.option("--log", type=LOG, help="Append a JSON line for each attempt.")
@click.option("--new-ledger", is_flag=True, help="Create a new ledger without asking.")
@click.option("--wait", type=DURATION, default=0.0, help=WAIT)
@JOBS
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@click.option("--verbose", "-v", is_flag=True, help="Print every attempt.")
def command(
    file: Path,
    dry_run: bool,
    limit: int | None,
    yes: bool,
    skip_bad_rows: bool,
    accept: str,
    accept_changes: bool,
    resend_doubt: bool,
    retry_refused: bool,
    log: Path | None,
    new_ledger: bool,
    wait: float,
    jobs: int | None,
    quiet: bool,
    verbose: bool,
) -> int:
    """Send the campaign in FILE, or resume it.

    Everything is read, validated and rendered first; then the plan is shown, and you are asked to confirm.
    Press Ctrl-C once to stop after the pending replies, twice to stop immediately.
    """
    from campaign.message import drafting

    drafting.begin()
    from campaign.cli.audience import DryRun
    from campaign.cli.watching import asking, is_sending, left, watch
    from campaign.ledger.protocols import Choices
    from campaign.sending.job import run
    from campaign.sending.plan import Mode, Options
    from campaign.sending.preflight.changes import Change
    from campaign.sending.preflight.reading import read

    words = [word.strip() for word in accept.split(",") if word.strip()]
    wrong = [word for word in words if word not in set(Change)]
    if wrong:
        raise UserError(*(f"--accept: {word!r} is none of {', '.join(Change)}" for word in wrong))
    accepted = {*map(Change, words), *({Change.CONTENT} if accept_changes else ())}
    output = Output(quiet=quiet, verbose=verbose, must_write=dry_run)
    campaign = read(file, output.progress, jobs)
    options = Options(
        mode=Mode.DRY_RUN if dry_run else Mode.SEND,
        limit=limit,
        skip_bad_rows=skip_bad_rows,
        choices=Choices(resend_doubt, retry_refused),
        accept=frozenset(accepted),
        asks=not yes,
        wait=wait,
        jobs=jobs,
        new_ledger=new_ledger,
    )
    if dry_run:
        run(campaign, options, DryRun(output))
        return 0
    if not yes and not sys.stdin.isatty():
        raise UserError(_without_terminal(campaign))
    if campaign.workers is None:
        return _send(campaign, options, output, log)
    if log is not None:
        raise UserError(
            "--log is for one process, and workers send this campaign: `campaign export` has their answers"
        )
    if limit is not None:
        raise UserError(
            "--limit is for one process, and workers send this campaign: `campaign stop` ends them"
        )
    top_up = asking(campaign, output)
    try:
        if is_sending(campaign):
            _attach(campaign, options.choices, output)
            return watch(campaign, output, top_up)
        return _send(campaign, options, output, None)
    except KeyboardInterrupt:
        if not is_sending(campaign):
            raise
        return left(campaign, output)


def _attach(campaign: CampaignFile, choices: Choices, output: Output) -> None:
    """Report that workers are already sending it.

    Raises UserError if they are sending another file with this name, and LeaseHeld for an option that only
    works when sending starts.
    """
    from campaign.ledger import Ledger
    from campaign.sending.preflight.guards import refuse_other_file

    ledger = Ledger.open(campaign.ledger, campaign.name, create=False)
    try:
        refuse_other_file(campaign, ledger)
    finally:
        ledger.close()
    stop = f"campaign stop {shown(campaign.file)}"
    asked = [
        *(["--resend-doubt"] if choices.resend_doubt else []),
        *(["--retry-refused"] if choices.retry_refused else []),
    ]
    if asked:
        why = f"{' and '.join(asked)} can only be used when sending starts, and workers are already sending"
        raise LeaseHeld(f"{why}: `{stop}`, and then this again")
    said = f"{campaign.name} is already being sent; this shows its progress"
    output.lines([f"{said}. Changes to its files take effect after `{stop}` and another `send`"])


def _without_terminal(campaign: CampaignFile) -> str:
    """Return all options to add if nobody can be asked."""
    from campaign.sending.preflight.completeness import would_be_new

    said = "there is no terminal to ask on: look at the plan with --dry-run, then add --yes"
    if not would_be_new(campaign):
        return said
    return f"{said}; and --new-ledger if nobody has had this campaign yet, for there is no ledger"


def _send(campaign: CampaignFile, options: Options, output: Output, log: Path | None) -> int:
    """Send, print the result, and return the exit code."""
    from campaign.cli.attemptlog import AttemptLog
    from campaign.cli.audience import Terminal
    from campaign.cli.codes import UNFINISHED
    from campaign.cli.watching import asking, watch
    from campaign.ownfiles import OwnFiles
    from campaign.sending.dispatch import Ending
    from campaign.sending.job import run

    top_up = asking(campaign, output)
    attempts = AttemptLog(log, OwnFiles(campaign.file)) if log is not None else None
    try:
        finished = run(campaign, options, Terminal(output, attempts))
    except (LedgerFull, LedgerBusy, NotAccepted) as stopped:  # nothing was sent yet
        output.problems(stopped.problems)
        return UNFINISHED
    finally:
        if attempts is not None:
            attempts.close()
    if finished.stop.ending is Ending.HANDED_OVER:
        return watch(campaign, output, top_up)
    return _print_result(campaign, output, finished)


def _print_result(campaign: CampaignFile, output: Output, finished: Finished) -> int:
    """Print the result of the run, and return its exit code."""
    import time

    from campaign.cli.ending import exit_code, why
    from campaign.model import Status
    from campaign.report import terminal
    from campaign.sending.dispatch import Ending

    ending, summary = finished.stop.ending, finished.summary
    if ending is Ending.DECLINED:
        output.lines(["Nothing was sent."])
    if ending in (Ending.PAUSED, Ending.DISCONNECTED):
        output.problems([why(campaign, finished.stop)])
    if summary is not None:
        now = time.time_ns()
        output.lines(terminal.summary_lines(campaign.name, summary))
        output.lines(terminal.reply_lines(finished.replies))
        output.lines(terminal.suppression_lines(finished.suppressed, shown(campaign.file)))
        output.lines(terminal.outlook_lines(finished.outlook, campaign.windows, now))
        output.lines(terminal.next_lines(shown(campaign.file), summary))
        if ending is Ending.PAUSED and summary.counts[Status.REFUSED]:
            again = f"campaign send {shown(campaign.file)} --retry-refused"
            output.lines([f"  to try the refused ones too, once the cause is fixed: {again}"])
    return exit_code(finished)
