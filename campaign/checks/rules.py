"""The rules, and running them.

    checks = Checks(campaign)
    prepare(…, examiner=checks)     every rule sees every message
    checks.report()                 what they found, in the rules' order

What makes sending impossible was found before (`campaignfile`, `templating`, `preparation`); rules tell
what is odd about a campaign that could be sent.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from campaign.campaignfile.models import CampaignFile
from campaign.campaignfile.rulenames import RULES
from campaign.checks.checked import Checked
from campaign.checks.rule import Rule
from campaign.checks.seen import Seen
from campaign.checks.sources import Sources
from campaign.checks.spam import Sample
from campaign.delivery import Message
from campaign.errors import Problem
from campaign.message.render import Renderer
from campaign.model import Recipient
from campaign.preparation import Survey
from campaign.recipients.list import Recipients


class Checks:
    """The rules of one campaign, without those that it ignores.

    `sample` is shown the messages too; the rules see the first `most` of them, or all if that is None.
    """

    def __init__(self, campaign: CampaignFile, sample: Sample | None = None, most: int | None = None) -> None:
        self._campaign = campaign
        self._sample = sample
        self._left = most
        self._rules: list[Rule] = []
        self._see: list[Callable[[Recipient, Seen], None]] = []
        self._checked: Checked | None = None

    def begin(self, recipients: Recipients, renderer: Renderer, survey: Survey) -> None:
        """Make the rules."""
        sources = Sources(self._campaign, renderer)
        self._checked = Checked(self._campaign, recipients, renderer, survey, sources)
        ignored = self._campaign.check.ignore
        self._rules = [rule(name, self._checked) for name in RULES if name not in ignored]
        self._see = [rule.see for rule in self._rules if type(rule).see is not Rule.see]

    def see(self, recipient: Recipient, message: Message) -> None:
        """Show a message to each rule."""
        if self._sample is not None:
            self._sample.see(recipient, message)
        if self._left is not None:
            if not self._left:
                return
            self._left -= 1
        seen = Seen(message)
        for see in self._see:
            see(recipient, seen)

    def report(self) -> list[Problem]:
        """Return what the rules found, behind what the campaign file and the list warned of."""
        if self._checked is None:
            return []
        found = [*self._campaign.warnings, *self._checked.recipients.warnings]
        found = [problem for problem in found if problem.rule not in self._campaign.check.ignore]
        for each in self._rules:
            found += each.report()
        return found


def rule(name: str, checked: Checked) -> Rule:
    """Return a rule by its name, which is its file's."""
    made: Rule = import_module(f"campaign.checks.{name}").Check(checked, name)
    return made


def documentation(name: str) -> str:
    """Return what a rule's file says of it."""
    return import_module(f"campaign.checks.{name}").__doc__ or ""
