"""Collect a rule's findings over all messages: each finding once, with the rows that have it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from campaign.checks.finding import Finding
from campaign.errors import Problem, RowRanges


@dataclass(slots=True)
class Same:
    """A finding, the rows that have it, and its largest amount."""

    problem: Problem
    ranges: RowRanges
    amount: int = 0


class Found:
    """At most `most` different findings; further ones are only counted, since each row may have its own."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._beyond = 0
        self.by_key: dict[str, Same] = {}

    def add(self, row: int, finding: Finding) -> None:
        """Add a row's finding; rows must come in the list's order."""
        same = self.by_key.get(finding.key)
        if same is None:
            if len(self.by_key) >= self._most:
                self._beyond += 1
                return
            same = self.by_key[finding.key] = Same(finding.problem, RowRanges())
        same.ranges.add(row)
        same.amount = max(same.amount, finding.amount)

    def problems(self, messages: int) -> Iterator[Problem]:
        """Yield the findings, each with its rows in words unless all `messages` have it."""
        found = [*self.by_key.values()]
        for same in found:
            rows = same.ranges.rows
            words = "" if rows.count == messages else f" ({rows})"
            yield replace(same.problem, message=f"{same.problem.message}{words}", rows=rows)
        if self._beyond:
            last = found[-1].problem
            what = f"and {self._beyond:,} more of this kind"
            yield Problem(what, last.file, severity=last.severity, rule=last.rule)
