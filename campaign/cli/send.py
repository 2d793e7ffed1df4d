"""`campaign send`: the main job."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from campaign.cli.output import AttemptLog, Output
from campaign.errors import Problem, Severity, UserError

if TYPE_CHECKING:
    from campaign.campaignfile.models import CampaignFile
    from campaign.ledger import Choices, Claim, Ledger, Run
    from campaign.model import Result
    from campaign.preparation import Preparation
    from campaign.sending.dispatch import Stop


@click.command("send")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--dry-run", is_flag=True, help="Render everything, show the plan and the first message; send nothing."
)
@click.option("--limit", type=click.IntRange(min=1), help="At most so many attempts in this run.")
@click.option("--yes", is_flag=True, help="Do not ask. Does not accept changed content.")
@click.option(
    "--skip-bad-rows", is_flag=True, help="Send the other rows, and record the bad ones as invalid."
)
@click.option(
    "--accept-changes", is_flag=True, help="Go on with content that differs from what some have had."
)
@click.option("--resend-doubt", is_flag=True, help="Mail those in doubt again; they may get it twice.")
@click.option("--retry-refused", is_flag=True, help="Try those again that were refused earlier.")
@click.option(
    "--log", type=click.Path(path_type=Path, dir_okay=False), help="Append a JSON line for each attempt."
)
@click.option("--quiet", "-q", is_flag=True, help="Say errors only.")
@click.option("--verbose", "-v", is_flag=True, help="Name every attempt.")
def command(
    file: Path,
    dry_run: bool,
    limit: int | None,
    yes: bool,
    skip_bad_rows: bool,
    accept_changes: bool,
    resend_doubt: bool,
    retry_refused: bool,
    log: Path | None,
    quiet: bool,
    verbose: bool,
) -> int:
    """Send the campaign in FILE, or go on with it where it was.

    Everything is read, validated and rendered first; then the plan is shown, and you are asked.
    Ctrl-C once waits for the answers that are due, twice stops at once.
    """
    from campaign.campaignfile.load import load
    from campaign.cli.ending import UNFINISHED
    from campaign.errors import LedgerFull, raise_errors
    from campaign.ledger import Choices
    from campaign.sending.dispatch import too_narrow

    campaign = load(file)
    raise_errors(too_narrow(campaign))
    output = Output(quiet=quiet, verbose=verbose)
    choices = Choices(resend_doubt, retry_refused)
    if dry_run:
        return _dry_run(campaign, choices, output, skip_bad_rows=skip_bad_rows)
    if not yes and not sys.stdin.isatty():
        raise UserError("there is no terminal to ask on: look at the plan with --dry-run, then add --yes")
    try:
        with (
            AttemptLog(log) as attempts,
            _ledger(campaign) as ledger,
            _lease(campaign, ledger) as sending,
        ):
            return _send(
                campaign,
                ledger,
                sending,
                choices,
                output,
                attempts,
                limit=limit,
                yes=yes,
                skip_bad_rows=skip_bad_rows,
                accept_changes=accept_changes,
            )
    except LedgerFull as full:  # before anything has left
        output.problems(full.problems)
        return UNFINISHED


def _send(
    campaign: CampaignFile,
    ledger: Ledger,
    sending: Run,
    choices: Choices,
    output: Output,
    attempts: AttemptLog,
    *,
    limit: int | None,
    yes: bool,
    skip_bad_rows: bool,
    accept_changes: bool,
) -> int:
    from campaign.cli import credentials
    from campaign.cli.ending import UNFINISHED
    from campaign.cli.signals import interruptible
    from campaign.preparation import prepare
    from campaign.sending.sender import Sender

    secrets = credentials.secrets(campaign, ledger)
    login = credentials.login(campaign)
    preparation = prepare(campaign, ledger.enrolment(choices), secrets, output.progress)
    _refuse_bad_rows(preparation, skip_bad_rows)
    _show_plan(preparation, sending, output)
    changed = ledger.digest not in (None, preparation.renderer.digest)
    to_send = preparation.plan.to_send > 0
    if changed and to_send and not accept_changes:
        what = "the content has changed since some had it; those who follow will get something else"
        if yes or not sys.stdin.isatty():
            raise UserError(f"{what}. If that is meant, add --accept-changes")
        output.problems([campaign.problem("", what, Severity.WARNING)])
    if to_send and not yes and not click.confirm(f"Send {preparation.plan.to_send:,} now?", err=True):
        output.lines(["Nothing was sent."])
        return UNFINISHED
    sending.heartbeat(time.time_ns())
    preparation.enrolment.apply(time.time_ns())
    if to_send:
        ledger.set_digest(preparation.renderer.digest)

    total = preparation.plan.to_send
    done = 0

    def on_result(claim: Claim, result: Result) -> None:
        nonlocal done
        attempts.write(claim, result)
        if output.verbose:
            output.note(f"{result.status:<9} {claim.recipient.email}  {result.reply}")
        done += result.status not in ("pending", "deferred")
        output.progress("sending", done, max(total, done))

    sender = Sender(
        campaign,
        preparation.renderer,
        sending,
        login,
        limit=limit,
        on_result=on_result,
        on_wait=output.waiting,
    )
    with interruptible(sender):
        stop = sender.run()
    output.end_bar()
    return _finish(campaign, ledger, output, stop)


def _finish(campaign: CampaignFile, ledger: Ledger, output: Output, stop: Stop) -> int:
    from campaign.cli.ending import exit_code
    from campaign.model import Status
    from campaign.report import terminal
    from campaign.sending.dispatch import Ending
    from campaign.wording import shown

    now = time.time_ns()
    summary = replace(ledger.history.summary(now), sending=None)  # that was us
    if stop.ending in (Ending.PAUSED, Ending.DISCONNECTED):
        output.problems([Problem(stop.why)])
    output.lines(terminal.summary_lines(campaign.name, summary))
    output.lines(terminal.reply_lines(ledger.history, now))
    output.lines(terminal.next_lines(shown(campaign.file), summary, now))
    if stop.ending is Ending.PAUSED and summary.counts[Status.REFUSED]:
        again = f"campaign send {shown(campaign.file)} --retry-refused"
        output.lines([f"  to try the refused ones too, once the cause is mended: {again}"])
    return exit_code(summary, stop)


def _refuse_bad_rows(preparation: Preparation, skip: bool) -> None:
    if preparation.errors and not skip:
        raise UserError(
            *preparation.errors,
            Problem("nothing was sent; correct the list, or leave such rows out with --skip-bad-rows"),
        )


def _show_plan(preparation: Preparation, sending: Run | None, output: Output) -> None:
    from campaign import checks
    from campaign.report import terminal
    from campaign.sending.pacing import Pace
    from campaign.sending.sender import load_pace

    campaign = preparation.campaign
    output.problems(checks.warnings(preparation))
    pace = Pace(campaign.windows)
    now = time.monotonic_ns()
    if sending is not None:
        load_pace(pace, campaign, sending, now)
    wait = pace.finish(now, preparation.survey.addresses)
    output.lines(terminal.plan_lines(campaign, preparation.plan, preparation.survey, wait, time.time_ns()))


def _dry_run(campaign: CampaignFile, choices: Choices, output: Output, *, skip_bad_rows: bool) -> int:
    """No connection, no ledger write, no command run."""
    from campaign.ledger import Ledger
    from campaign.message.context import Secrets
    from campaign.preparation import prepare
    from campaign.preview.opened import open_message
    from campaign.preview.terminal import lines
    from campaign.preview.variety import Chosen

    exists = campaign.ledger.exists()
    ledger = (
        Ledger.open(campaign.ledger, campaign.name, campaign.file, create=False, read_only=True)
        if exists
        else Ledger.temporary(campaign.name)
    )
    try:
        _refuse_other_key(campaign, ledger)
        secrets = Secrets(ledger.secret, Secrets.placeholder().unsubscribe)
        preparation = prepare(campaign, ledger.enrolment(choices), secrets, output.progress)
        _refuse_bad_rows(preparation, skip_bad_rows)
        _show_plan(preparation, None, output)
        if ledger.digest not in (None, preparation.renderer.digest):
            output.lines(
                ["  The content has changed since some had it: send asks, or needs --accept-changes."]
            )
        survey = preparation.survey
        if survey.first is not None and survey.first_recipient is not None:
            output.lines(["", "The first message:", ""])
            shown = lines(
                Chosen(survey.first_recipient), open_message(survey.first), preparation.recipients.file
            )
            output.lines(shown)
        output.lines(["", "Nothing was sent: this was a dry run."])
    finally:
        ledger.close()
    return 0


@contextmanager
def _ledger(campaign: CampaignFile) -> Iterator[Ledger]:
    from campaign.ledger import Ledger

    ledger = Ledger.open(campaign.ledger, campaign.name, campaign.file)
    try:
        other = ledger.other_file()
        if other is not None:
            what = f"{other} has this name too, in the same ledger; names are identities: rename one"
            raise UserError(campaign.problem("name", what))
        ledger.adopt(_refuse_other_key(campaign, ledger))
        yield ledger
    finally:
        ledger.close()


def _refuse_other_key(campaign: CampaignFile, ledger: Ledger) -> list[str]:
    """Return what tells the rows apart; refuse where that has changed since some were mailed."""
    settings = campaign.recipients
    key = ["the address" if column == settings.email else f"`{column}`" for column in settings.key]
    known = ledger.other_key(key)
    if known is not None:
        before, now = " and ".join(known), " and ".join(key)
        what = (
            f"rows were told apart by {before} when some were mailed, and now by {now}: those would be mailed"
            f" again. Go back to {before}, or give the campaign another `name`"
        )
        raise UserError(campaign.problem("recipients.key", what))
    return key


@contextmanager
def _lease(campaign: CampaignFile, ledger: Ledger) -> Iterator[Run]:
    from campaign.errors import LedgerFull
    from campaign.sending.sender import scope_of

    longest = int(campaign.retry.max_delay * 2e9)
    sending = ledger.start(scope_of(campaign), time.time_ns(), longest, suppress=campaign.suppress)
    try:
        yield sending
    finally:
        with suppress(LedgerFull):  # the lease of a process that has ended holds nobody up
            sending.end(time.time_ns())
