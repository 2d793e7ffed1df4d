"""What a rule is: it sees every message, and reports in the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from campaign.checks.checked import Checked
from campaign.checks.seen import Seen
from campaign.errors import Problem, Severity
from campaign.model import Recipient
from campaign.preparation import RowRanges

MOST_FOUND = 30
"""Different findings of one rule that are kept; of a million rows, each may have its own."""


class Rule:
    """A rule; each file beside this one that `rulenames` names has one, called `Check`.

    What is found in messages is kept once for each place and sentence, with the rows that have it.
    """

    def __init__(self, checked: Checked, name: str) -> None:
        self.checked = checked
        self.name = name
        self._found: dict[object, tuple[Problem, RowRanges]] = {}
        self._beyond = 0

    def see(self, recipient: Recipient, message: Seen) -> None:
        """Look at a row's message."""

    def report(self) -> Iterator[Problem]:
        """Yield what was found."""
        everywhere = self.checked.survey.messages
        for problem, ranges in self._found.values():
            rows = ranges.rows
            words = "" if rows.count == everywhere else f" ({rows})"
            yield replace(problem, message=f"{problem.message}{words}", rows=rows)
        if self._beyond:
            last, _ = list(self._found.values())[-1]
            yield self.at(Problem("", last.file), f"and {self._beyond:,} more of this kind", last.severity)

    def find(self, recipient: Recipient, problem: Problem, key: object = None) -> None:
        """Take note of what a row's message has; of findings with one `key`, the first is kept."""
        key = key or (problem.file, problem.line, problem.path, problem.same or problem.message)
        found = self._found.get(key)
        if found is None:
            if len(self._found) >= MOST_FOUND:
                self._beyond += 1
                return
            found = self._found[key] = problem, RowRanges()
        found[1].add(recipient.number)

    def at(
        self, place: Problem, message: str, severity: Severity = Severity.WARNING, same: str = ""
    ) -> Problem:
        """Return a problem at a place; of two that are the `same`, the first is kept."""
        return replace(place, message=message, severity=severity, rule=self.name, same=same)

    def in_html(self, written: str) -> Problem:
        """Return the place in the HTML's templates of what a message has `written`, as near as is known."""
        found = self.checked.sources.place(written) if written else None
        return found if found is not None else self.checked.sources.template("html", "mjml", "markdown")

    def warn(self, path: str, message: str) -> Problem:
        """Return a warning at a place of the campaign file."""
        return self.checked.campaign.problem(path, message, Severity.WARNING, self.name)

    def warn_list(self, message: str, line: int | None = None) -> Problem:
        """Return a warning at a line of the list."""
        return self.at(Problem("", self.checked.recipients.file, line), message)
