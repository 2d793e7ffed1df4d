"""The rules where messages are made: every message is shown to each rule, and what they find is told.

    row's message → [] | [finding, …] | the number of an earlier row in which the same was found

Most messages of a campaign have the same findings. Told in full again after `SPAN` rows, so that who
listens need not keep them for longer.
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
    """The rules with these names, and what they need to know of the campaign."""

    names: tuple[str, ...]
    facts: Facts

    @property
    def modules(self) -> tuple[str, ...]:
        """The rules' files."""
        return tuple(f"campaign.checks.rules.{name}" for name in self.names)

    def open(self, content: Content, html: Mapping[str, str], sources: Mapping[str, str]) -> Look:
        """Make the rules."""
        return Eyes(self.names, Checked(content, self.facts, Sources(content, html, sources)))


class Eyes:
    """The rules of one campaign that look at messages."""

    def __init__(self, names: Sequence[str], checked: Checked) -> None:
        self._see = [(name, kind(name)(checked, name).see) for name in names]
        self._told: dict[tuple[tuple[str, str, int], ...], int] = {}

    def __call__(self, recipient: Recipient, chunks: Sequence[bytes]) -> Plain:
        """Return what is found in a message, as plain data."""
        found = self.findings(recipient, chunks)
        if not found:
            return []
        same = tuple((rule, finding.key, finding.amount) for rule, finding in found)
        earlier = self._told.get(same)
        if earlier is not None and recipient.number - earlier <= SPAN:
            return earlier
        if len(self._told) >= SPAN:
            self._told.clear()
        self._told[same] = recipient.number
        return [plain_finding(*one) for one in found]

    def findings(self, recipient: Recipient, chunks: Sequence[bytes]) -> list[tuple[str, Finding]]:
        """Return what each rule finds in a message."""
        seen = Seen(chunks)
        return [(name, finding) for name, see in self._see for finding in see(recipient, seen)]


def kind(name: str) -> type[Rule]:
    """Return a rule's class by the rule's name, which is its file's."""
    check: type[Rule] = import_module(f"campaign.checks.rules.{name}").Check
    return check
