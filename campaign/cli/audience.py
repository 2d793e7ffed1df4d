"""Show the progress of the main job at a terminal, or in a cron job's output."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from campaign.cli.attemptlog import AttemptLog
from campaign.cli.output import Output, ask
from campaign.cli.signals import interruptible
from campaign.delivery import Result
from campaign.errors import Severity
from campaign.ledger import Ledger
from campaign.ledger.protocols import Claim
from campaign.model import SECOND, Status
from campaign.report import terminal
from campaign.report.words import going_on
from campaign.sending.audience import Interruptible
from campaign.sending.pace.outlook import Outlook
from campaign.sending.plan import Plan
from campaign.wording import counted, shown

_EVERY = 1.0  # seconds between two updates
_MINUTE = 60  # seconds; a shorter wait of a connection is shown at once, in seconds
_LONG_WAIT = 10  # seconds; a shorter wait for the rate is shown by the bar only
_SILENCE = 600  # seconds between two lines about waits, at least
_BACK = (Status.PENDING, Status.DEFERRED)  # tried again in this run, or in a later one


class Terminal:
    """Shows plan, progress and waits with `output`; every attempt goes to `log`.

    While messages are sent, a thread calculates once a second when the next one may leave and when the run
    will end, and updates the bar. Without a bar, it prints a line now and then.
    """

    def __init__(self, output: Output, log: AttemptLog | None = None) -> None:
        self._output = output
        self._log = log
        self._plan: Plan | None = None
        self._total = 0
        self._done = 0
        self._why = ""  # the reason of a connection's wait, and when it ends, UTC ns
        self._until = 0
        self._last_due = 0  # the latest due time of messages that this run deferred, UTC ns
        self._silent_until = 0  # UTC ns; no further line about waits before that

    def progress(self, doing: str, done: int, of: int) -> None:
        """Show how far something is."""
        self._output.progress(doing, done, of)

    def waiting(self, seconds: float, why: str) -> None:
        """Show why nothing is being sent."""
        self._why, self._until = why, time.time_ns() + int(seconds * SECOND)
        if seconds < _MINUTE or self._plan is None:  # for the lease, before there is a bar
            self._silent_until = max(self._silent_until, self._until)
            self._output.waiting(seconds, why)

    def without_window(self, why: str) -> None:
        """Show that messages are sent one at a time, without a window."""
        self._output.without_window(why)

    def leased(self, ledger: Ledger) -> None:
        """Open the log, now that we have the lease: without it, no log file is created."""
        if self._log is not None:
            self._log.open(ledger)

    def planned(self, plan: Plan) -> None:
        """Show warnings and the plan."""
        self._plan = plan
        self._output.paced = bool(plan.preparation.campaign.windows)
        self._show(plan)

    def _show(self, plan: Plan) -> None:
        from campaign.preview.opened import open_message
        from campaign.preview.terminal import outline

        preparation = plan.preparation
        self._output.problems(found for found in plan.findings if found.severity is not Severity.NOTE)
        survey = preparation.survey
        lines = terminal.plan_lines(
            preparation.campaign, preparation.plan, survey, plan.wait, plan.now, plan.limit
        )
        self._output.lines(lines)
        if plan.new_ledger:
            self._output.lines(["  ledger:      a new ledger: it knows nobody"])
        if survey.first is not None:
            self._output.lines(["  the first message:"])
            self._output.lines(f"    {line}" for line in outline(open_message(survey.first)))

    def agrees(self, plan: Plan) -> bool:
        """Ask whether to send."""
        campaign = plan.preparation.campaign
        self._output.problems(campaign.problem("", words, Severity.WARNING) for _, words in plan.changes)
        return ask(f"Send {plan.to_send:,} now?" if plan.to_send else "Go on, and send nothing?")

    def attempted(self, claim: Claim, result: Result) -> None:
        """Count an attempt; with --verbose, show it."""
        if self._log is not None:
            self._log.write(claim, result)
        if self._output.verbose:
            self._output.note(f"{result.status:<9} {claim.recipient.email}  {result.reply}")
        self._done += result.status not in _BACK
        if result.status is Status.DEFERRED:
            self._last_due = max(self._last_due, result.outcomes[0].due_at)
        self._output.progress("sending", self._done, max(self._total, self._done))

    @contextmanager
    def sending(self, run: Interruptible, total: int) -> Iterator[None]:
        """Turn signals into interruptions of `run`, and update the progress while it is open."""
        self._total = total
        self._output.progress("sending", 0, total)
        over = threading.Event()
        looking = threading.Thread(target=self._look_on, args=(run, over), daemon=True)
        looking.start()
        try:
            with interruptible(run):
                yield
        finally:
            over.set()
            looking.join()
        if self._log is not None:
            self._log.complete()
        self._output.end_bar()

    def _look_on(self, run: Interruptible, over: threading.Event) -> None:
        while not over.wait(_EVERY):
            now = time.time_ns()
            left = max(0, self._total - self._done)
            if left and self._plan is not None:
                due = self._until if self._until > now else None
                outlook = run.outlook(self._plan.addresses_of(left), due, self._last_due)
                self._say(outlook, now)

    def _say(self, outlook: Outlook, now: int) -> None:
        paced = self._output.paced or outlook.next_at > now
        words = going_on(outlook, now, self._why) if paced else ""
        self._output.beside_bar(words)
        long = outlook.next_at - now >= _LONG_WAIT * SECOND
        if long and not self._output.quiet and not self._output.shows_bar and now >= self._silent_until:
            self._silent_until = max(outlook.next_at, now + _SILENCE * SECOND)
            self._output.note(words)


class Rehearsal(Terminal):
    """The audience of a rehearsal: it shows what is rehearsed, instead of the plan."""

    def _show(self, plan: Plan) -> None:
        name = plan.preparation.campaign.name
        self._output.lines([f"{name}: rehearsing {counted(plan.to_send, 'message')} on localhost"])


class DryRun(Terminal):
    """The audience of a dry run, which also shows the first message."""

    def _show(self, plan: Plan) -> None:
        from campaign.preview.opened import open_message
        from campaign.preview.terminal import lines
        from campaign.preview.variety import Chosen

        super()._show(plan)
        for change, words in plan.changes:
            self._output.lines([f"  {words[0].upper()}{words[1:]}: send asks, or needs --accept {change}."])
        survey = plan.preparation.survey
        if survey.first is not None and survey.first_recipient is not None:
            message = open_message(survey.first)
            file = plan.preparation.recipients.file
            self._output.lines(["", "The first message:", ""])
            preview = f"campaign preview {shown(plan.preparation.campaign.file)} --open"
            self._output.lines(lines(Chosen(survey.first_recipient), message, file, preview))
        self._output.lines(["", "Nothing was sent: this was a dry run."])
