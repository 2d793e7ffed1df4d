"""Run the rules in the processes that make the messages, and report their findings as plain data.

    row's message → [] | [finding, …] | the number of an earlier row with the same findings

Most messages of a campaign have the same findings, so a row number saves repeating them. After `SPAN` rows
they are reported in full again, so that the receiver need not keep them for longer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

from campaign.checks.checked import Checked, Facts
from campaign.checks.finding import Finding, plain_finding
from campaign.checks.rule import Rule
from campaign.checks.seen import Seen
from campaign.checks.sources import Sources
from campaign.message.content import Content
from campaign.message.request import Look
from campaign.model import Recipient
from campaign.templating.processes.frames import Plain

SPAN = 1000


@dataclass(frozen=True, slots=True)
class RulesLooking:
    """The names of the rules to run, and what they need to know about the campaign."""

    names: tuple[str, ...]
    facts: Facts

    @property
    def modules(self) -> tuple[str, ...]:
        """The names of the rules' modules."""
        return tuple(f"campaign.checks.rules.{name}" for name in self.names)

    def open(self, content: Content, html: Mapping[str, str], sources: Mapping[str, str]) -> Look:
        """Create the rules, and return what looks at a message."""
        return Eyes(self.names, Checked(content, self.facts, Sources(content, html, sources)))


class Eyes:
    """The rules of one campaign that look at messages."""

    def __init__(self, names: Sequence[str], checked: Checked) -> None:
        self._see = [(name, kind(name)(checked, name).see) for name in names]
        self._first_rows: dict[tuple[tuple[str, str, int], ...], int] = {}

    def __call__(self, recipient: Recipient, chunks: Sequence[bytes]) -> Plain:
        """Return the findings in a message, as plain data."""
        found = self.findings(recipient, chunks)
        if not found:
            return []
        same = tuple((rule, finding.key, finding.amount) for rule, finding in found)
        earlier = self._first_rows.get(same)
        if earlier is not None and recipient.number - earlier <= SPAN:
            return earlier
        if len(self._first_rows) >= SPAN:
            self._first_rows.clear()
        self._first_rows[same] = recipient.number
        return [plain_finding(*one) for one in found]

    def findings(self, recipient: Recipient, chunks: Sequence[bytes]) -> list[tuple[str, Finding]]:
        """Return the findings of all rules in a message, each with its rule's name."""
        seen = Seen(chunks)
        return [(name, finding) for name, see in self._see for finding in see(recipient, seen)]


def kind(name: str) -> type[Rule]:
    """Return the class of a rule by its name, which is that of its module."""
    check: type[Rule] = import_module(f"campaign.checks.rules.{name}").Check
    return check
