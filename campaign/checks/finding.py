"""What a rule found in one message. It travels as plain data to where the findings of all are kept."""

from __future__ import annotations

from dataclasses import dataclass

from campaign.errors import Problem
from campaign.templating.processes.frames import Garbled, Plain, plain_problem, problem_of


@dataclass(frozen=True, slots=True)
class Finding:
    """What one message has. Of findings with one `key`, the first is kept, and the largest `amount`."""

    problem: Problem
    key: str
    amount: int = 0


def plain_finding(rule: str, finding: Finding) -> Plain:
    """Return what a rule found as plain data."""
    return [rule, finding.key, finding.amount, plain_problem(finding.problem)]


def finding_of(plain: Plain) -> tuple[str, Finding]:
    """Return what `plain_finding` made plain, with the rule's name. Raises Garbled."""
    match plain:
        case [str() as rule, str() as key, int() as amount, problem]:
            return rule, Finding(problem_of(problem), key, amount)
        case _:
            raise Garbled("this is nothing that a rule found")
