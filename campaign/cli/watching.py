"""Watch workers send a campaign, for `send`; ending the display stops nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from campaign.cli.away import patiently
from campaign.cli.codes import UNFINISHED
from campaign.cli.output import Output
from campaign.errors import Problem, UserError
from campaign.wording import shown

if TYPE_CHECKING:
    from campaign.campaignfile.models import CampaignFile

_LOOK, _SOON = 2.0, 0.25  # seconds between two updates, at most and at least
_ASK = 5.0  # seconds between two requests for missing drains
_LONELY = 10.0  # seconds without a worker until that is reported


def asking(campaign: CampaignFile, output: Output) -> Callable[[], None]:
    """Return a function that requests missing drains from Celery's broker, if the campaign names one.

    Raises UserError if the broker's variable is not set.
    """
    broker = _broker(campaign)
    if broker is None:
        return lambda: None
    from campaign.celery import ask, asker
    from campaign.ledger import Ledger

    app, asked_at = asker(broker), -_ASK

    def ask_now() -> None:
        nonlocal asked_at
        if time.monotonic() - asked_at < _ASK:
            return
        asked_at = time.monotonic()
        ledger = Ledger.open(campaign.ledger, campaign.name, create=False)
        try:
            if not ask(app, campaign.name, ledger):
                output.note("the broker cannot be reached; trying again")
        finally:
            ledger.close()

    return ask_now


def calling(campaign: CampaignFile, output: Output) -> Callable[[], None]:
    """Return a function that lets Celery's workers look for questions, if the campaign names a broker.

    Raises UserError if the broker's variable is not set.
    """
    broker = _broker(campaign)
    if broker is None:
        return lambda: None

    def call() -> None:
        from campaign.celery import asker, call

        if not call(asker(broker)):
            output.note("the broker cannot be reached: only workers without it are asked")

    return call


def _broker(campaign: CampaignFile) -> str | None:
    variable = campaign.workers.broker_env if campaign.workers is not None else None
    if variable is None:
        return None
    broker = os.environ.get(variable)
    if not broker:
        raise UserError(campaign.problem("workers.broker_env", f"the variable {variable} is not set"))
    return broker


def is_sending(campaign: CampaignFile) -> bool:
    """Whether workers are already sending this campaign, from a shared ledger."""
    from campaign.ledger import Ledger
    from campaign.ledger.machines import State

    if not Ledger.exists(campaign.ledger):
        return False
    ledger = Ledger.open(campaign.ledger, campaign.name, create=False)
    try:
        machines = ledger.machines
        return machines is not None and machines.standing().state is State.SENDING
    finally:
        ledger.close()


def left(campaign: CampaignFile, output: Output) -> int:
    """Report that the workers continue although the display ends, and return the exit code."""
    output.end_bar()
    stop = f"campaign stop {shown(campaign.file)}"
    output.lines([f"The workers continue. To stop them: {stop}"])
    return UNFINISHED


def until_next(gone: int, left: int, seconds: float, before: float) -> float:
    """Return the seconds until the next update: until all `left` are sent, if `gone` were in `seconds`.

    If none were sent, it is twice the wait `before`. So the end is shown soon after it happens.
    """
    return min(_LOOK, max(_SOON, left * seconds / gone) if gone > 0 else 2 * before)


def watch(campaign: CampaignFile, output: Output, top_up: Callable[[], None]) -> int:
    """Show the workers' progress until the campaign is sent or stopped, and return the exit code.

    `top_up` is called regularly, to request missing drains. An interrupt only ends the display, without
    further queries, since the server may not be answering.
    """
    try:
        return _watch(campaign, output, top_up)
    except KeyboardInterrupt:
        return left(campaign, output)


def _watch(campaign: CampaignFile, output: Output, top_up: Callable[[], None]) -> int:
    from campaign.cli.ending import code_of
    from campaign.ledger import Ledger, Summary
    from campaign.ledger.machines import Standing, State
    from campaign.report import terminal
    from campaign.sending.workers.drain import machines_of

    def look() -> tuple[Standing, int, int, float]:
        # Only the last query is timed: before it, we may have waited for the server.
        began = time.monotonic()
        ledger = Ledger.open(campaign.ledger, campaign.name, create=False)
        try:
            machines = machines_of(ledger)
            machines.finish()
            return machines.standing(), machines.waiting(), machines.live(), time.monotonic() - began
        finally:
            ledger.close()

    def counted() -> Summary:
        ledger = Ledger.open(campaign.ledger, campaign.name, create=False)
        try:
            return ledger.history.summary(time.time_ns())
        finally:
            ledger.close()

    def replies() -> list[str]:
        ledger = Ledger.open(campaign.ledger, campaign.name, create=False)
        try:
            return list(terminal.reply_lines(ledger.history.replies(time.time_ns())))
        finally:
            ledger.close()

    lonely_since = looked_at = time.monotonic()
    told, before, pause = False, 0, _LOOK
    total = patiently(counted, output).on_list
    while True:
        standing, waiting, workers, took = patiently(look, output)
        output.progress("sending", max(0, total - waiting), total)
        if standing.state is not State.SENDING:
            break
        patiently(top_up, output)
        if workers:
            lonely_since, told = time.monotonic(), False
        elif not told and time.monotonic() - lonely_since > _LONELY:
            told = True
            output.note(
                f"no worker is running; start one on any machine: campaign work {shown(campaign.file)}"
            )
        now = time.monotonic()
        pause = until_next(before - waiting, waiting, now - looked_at, pause)
        before, looked_at = waiting, now
        time.sleep(max(pause, 4 * took))  # leaves the server time for other work
    output.end_bar()
    if standing.state is not State.IDLE:
        output.problems([Problem(f"the campaign is {standing.state}: {standing.why}")])
    summary = patiently(counted, output)
    output.lines(terminal.summary_lines(campaign.name, summary))
    output.lines(patiently(replies, output))
    output.lines(terminal.next_lines(shown(campaign.file), summary))
    return code_of(summary, unfinished=standing.state is not State.IDLE)
