"""A rule's finding in one message, and its form as plain data, in which it travels between processes."""

from __future__ import annotations

from dataclasses import dataclass

from campaign.errors import Problem
from campaign.templating.processes.frames import Garbled, Plain, plain_problem, problem_of


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. Of those with the same `key`, the first is kept, with the largest `amount` of them."""

    problem: Problem
    key: str
    amount: int = 0


def plain_finding(rule: str, finding: Finding) -> Plain:
    """Return a rule's finding as plain data."""
    return [rule, finding.key, finding.amount, plain_problem(finding.problem)]


def finding_of(plain: Plain) -> tuple[str, Finding]:
    """Return the rule's name and the finding from plain data. Raises Garbled."""
    match plain:
        case [str() as rule, str() as key, int() as amount, problem]:
            return rule, Finding(problem_of(problem), key, amount)
        case _:
            raise Garbled("this is nothing that a rule found")
