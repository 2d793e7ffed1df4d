"""The base class of rules: a rule looks at every row and every message, and reports at the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

from campaign.checks.checked import Checked, Surveyed
from campaign.checks.finding import Finding
from campaign.checks.found import Found
from campaign.checks.seen import Seen
from campaign.errors import Problem, Rows, Severity
from campaign.model import Recipient

MOST_FOUND = 30
"""The most different findings of one rule that are kept."""


class Rule:
    """A rule; each file in `rules/` that `rulenames` names has one, called `Check`.

    `see` runs in one of several processes that make messages: its findings must follow from the campaign,
    the row and the message alone, not from earlier calls. `read` and `report` run in one process. Findings
    of `see` and `read` are kept once for each place and sentence, with the rows that have them.
    """

    most: ClassVar[int] = MOST_FOUND

    def __init__(self, checked: Checked, name: str) -> None:
        self.checked = checked
        self.name = name

    def see(self, recipient: Recipient, message: Seen) -> Iterator[Finding]:
        """Look at a row's message; the recipient has only what templates can use."""
        yield from ()

    def read(self, recipient: Recipient) -> Iterator[Finding]:
        """Look at a row that has a message, in the list's order."""
        yield from ()

    def report(self, surveyed: Surveyed, found: Found) -> Iterator[Problem]:
        """Yield the problems that were found."""
        yield from found.problems(surveyed.survey.messages)

    def find(self, problem: Problem, key: str = "", amount: int = 0) -> Finding:
        """Return a finding; of those with the same `key`, the first is kept."""
        key = key or f"{problem.file}\0{problem.line}\0{problem.path}\0{problem.same or problem.message}"
        return Finding(problem, key, amount)

    def at(
        self, place: Problem, message: str, severity: Severity = Severity.WARNING, same: str = ""
    ) -> Problem:
        """Return a finding at a place; of two with an equal `same`, the first is kept."""
        return replace(place, message=message, severity=severity, rule=self.name, same=same)

    def in_html(self, written: str) -> Problem:
        """Return the place in the HTML templates that the text `written` comes from, as near as is known."""
        found = self.checked.sources.place(written) if written else None
        return found if found is not None else self.checked.sources.template("html", "mjml", "markdown")

    def warn(self, path: str, message: str) -> Problem:
        """Return a warning at a key of the campaign file that messages are made from."""
        return self.checked.content.problem(path, message, Severity.WARNING, self.name)

    def warn_file(self, surveyed: Surveyed, path: str, message: str) -> Problem:
        """Return a warning at any key of the campaign file."""
        return self.at(surveyed.campaign.problem(path, ""), message)

    def warn_list(self, message: str, line: int | None = None, rows: Rows | None = None) -> Problem:
        """Return a warning at a line of the list; `rows` are the affected rows."""
        return self.at(Problem("", self.checked.facts.list, line, rows=rows), message)
