"""A person at a terminal, or a cron job's log, as the audience of the main job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from campaign.checks import rules
from campaign.cli.output import AttemptLog, Output, ask
from campaign.cli.signals import interruptible
from campaign.errors import Severity
from campaign.ledger import Claim
from campaign.model import Result, Status
from campaign.report import terminal
from campaign.sending.job import Interruptible, Plan

_BACK = (Status.PENDING, Status.DEFERRED)  # tried again in this run, or in a later one


class Terminal:
    """Shows plan, progress and waits with `output`; `log` is told of every attempt."""

    def __init__(self, output: Output, log: AttemptLog | None = None) -> None:
        self._output = output
        self._log = log
        self._total = 0
        self._done = 0

    def progress(self, doing: str, done: int, of: int) -> None:
        """Show how far something is."""
        self._output.progress(doing, done, of)

    def waiting(self, seconds: float, why: str) -> None:
        """Say why nothing moves."""
        self._output.waiting(seconds, why)

    def leased(self) -> None:
        """Open the log: who may not send leaves none behind."""
        if self._log is not None:
            self._log.open()

    def planned(self, plan: Plan) -> None:
        """Show warnings and the plan."""
        preparation = plan.preparation
        self._output.problems(rules.warnings(preparation))
        self._output.lines(
            terminal.plan_lines(
                preparation.campaign, preparation.plan, preparation.survey, plan.wait, plan.now
            )
        )

    def agrees(self, plan: Plan) -> bool:
        """Ask."""
        campaign = plan.preparation.campaign
        self._output.problems(campaign.problem("", words, Severity.WARNING) for _, words in plan.changes)
        return ask(f"Send {plan.to_send:,} now?")

    def attempted(self, claim: Claim, result: Result) -> None:
        """Count an attempt, and name it where everything is said."""
        if self._log is not None:
            self._log.write(claim, result)
        if self._output.verbose:
            self._output.note(f"{result.status:<9} {claim.recipient.email}  {result.reply}")
        self._done += result.status not in _BACK
        self._output.progress("sending", self._done, max(self._total, self._done))

    @contextmanager
    def sending(self, run: Interruptible, total: int) -> Iterator[None]:
        """Turn signals into interruptions of `run`."""
        self._total = total
        with interruptible(run):
            yield
        self._output.end_bar()


class Rehearsal(Terminal):
    """The audience of a rehearsal: it says what is rehearsed, in the place of the plan."""

    def planned(self, plan: Plan) -> None:
        """Say how many."""
        name = plan.preparation.campaign.name
        self._output.lines([f"{name}: rehearsing {plan.to_send:,} messages on localhost"])


class DryRun(Terminal):
    """The audience of a dry run: it shows the first message too."""

    def planned(self, plan: Plan) -> None:
        """Show the plan, what `send` would ask, and the first message."""
        from campaign.preview.opened import open_message
        from campaign.preview.terminal import lines
        from campaign.preview.variety import Chosen

        super().planned(plan)
        for change, words in plan.changes:
            self._output.lines([f"  {words[0].upper()}{words[1:]}: send asks, or needs --accept {change}."])
        survey = plan.preparation.survey
        if survey.first is not None and survey.first_recipient is not None:
            message = open_message(survey.first)
            file = plan.preparation.recipients.file
            self._output.lines(["", "The first message:", ""])
            self._output.lines(lines(Chosen(survey.first_recipient), message, file))
        self._output.lines(["", "Nothing was sent: this was a dry run."])
