"""Run the rules over all messages of a campaign, and collect their reports.

    checks = Checks(campaign)
    prepare(…, examiner=checks)     every rule sees every row and every message
    checks.report()                 the problems, in the rules' order

Errors that make sending impossible are found earlier (`campaignfile`, `templating`, `preparation`); rules
report what looks wrong in a campaign that could be sent.
"""

from __future__ import annotations

from importlib import import_module
from itertools import takewhile

from campaign.campaignfile.consistency import is_loopback
from campaign.campaignfile.models import CampaignFile
from campaign.campaignfile.rulenames import RULES
from campaign.checks.checked import Checked, Facts, Surveyed
from campaign.checks.finding import Finding, finding_of
from campaign.checks.found import Found
from campaign.checks.looking import SPAN, Eyes, RulesLooking, kind
from campaign.checks.rule import Rule
from campaign.checks.sources import Sources
from campaign.checks.spam import Sample
from campaign.delivery import Message
from campaign.errors import Problem
from campaign.message.render import Renderer
from campaign.model import Recipient
from campaign.recipients.list import Recipients
from campaign.survey import Survey
from campaign.templating.processes.frames import Garbled, Plain


class Checks:
    """The rules of one campaign, without those that it ignores.

    They see the first `most` messages, or all if that is None; rows are shown to `sample` too.
    """

    def __init__(self, campaign: CampaignFile, sample: Sample | None = None, most: int | None = None) -> None:
        self.most = most
        self._campaign = campaign
        self._sample = sample
        self._rules: list[Rule] = []
        self._surveyed: Surveyed | None = None
        self._findings: dict[int, list[tuple[str, Finding]]] = {}
        self._names = tuple(name for name in RULES if name not in campaign.check.ignore)
        kinds = {name: kind(name) for name in self._names}
        self._found = {name: Found(one.most) for name, one in kinds.items()}
        self._seeing = tuple(name for name, one in kinds.items() if one.see is not Rule.see)

    def looking(self, recipients: Recipients) -> RulesLooking:
        """Return the rules in the form in which they go to the processes that make messages."""
        return RulesLooking(self._seeing, _facts(self._campaign, recipients))

    def begin(self, recipients: Recipients, renderer: Renderer, survey: Survey) -> None:
        """Create the rules."""
        sources = Sources(renderer.content, renderer.html_sources, renderer.sources)
        checked = Checked(renderer.content, _facts(self._campaign, recipients), sources)
        self._surveyed = Surveyed(self._campaign, recipients, renderer, survey)
        self._rules = [kind(name)(checked, name) for name in self._names]
        reading = [rule for rule in self._rules if type(rule).read is not Rule.read]
        self._read = [(self._found[rule.name], rule.read) for rule in reading]
        self._eyes = Eyes(self._seeing, checked)

    def see(self, recipient: Recipient, found: Plain) -> None:
        """Add a row, and the findings from the process that made its message. Raises Garbled."""
        if self._sample is not None:
            self._sample.see(recipient)
        for kept, read in self._read:
            for finding in read(recipient):
                kept.add(recipient.number, finding)
        if found:
            self._add(recipient, self._in_full(recipient.number, found))

    def pass_over(self, recipient: Recipient, found: Plain) -> None:
        """Take the findings of a bad row, to which later rows may refer. Raises Garbled."""
        if found:
            self._in_full(recipient.number, found)

    def look(self, recipient: Recipient, message: Message) -> None:
        """Show a message that this process has to each rule."""
        self.see(recipient, None)
        self._add(recipient, self._eyes.findings(recipient, message.chunks))

    def report(self) -> list[Problem]:
        """Return the problems that the rules found, after the warnings of the campaign file and the list."""
        if self._surveyed is None:
            return []
        found = [*self._campaign.warnings, *self._surveyed.recipients.warnings]
        found = [problem for problem in found if problem.rule not in self._campaign.check.ignore]
        for each in self._rules:
            found += each.report(self._surveyed, self._found[each.name])
        return found

    def _add(self, recipient: Recipient, findings: list[tuple[str, Finding]]) -> None:
        for name, finding in findings:
            self._found[name].add(recipient.number, finding)

    def _in_full(self, number: int, found: Plain) -> list[tuple[str, Finding]]:
        """Return the findings of a row in full; they may be given as those of an earlier row."""
        if isinstance(found, list):
            for old in [*takewhile(lambda row: row < number - SPAN, self._findings)]:
                del self._findings[old]
            self._findings[number] = [finding_of(one) for one in found]
            if not {name for name, _ in self._findings[number]} <= self._found.keys():
                raise Garbled("no rule has such a name")
            return self._findings[number]
        if not isinstance(found, int) or found not in self._findings:
            raise Garbled("nothing was told of such a row")
        return self._findings[found]


def _facts(campaign: CampaignFile, recipients: Recipients) -> Facts:
    signs_for = campaign.dkim.domain.lower() if campaign.dkim is not None else None
    host = campaign.smtp.host
    return Facts(recipients.file, host.lower(), is_loopback(host), signs_for)


def documentation(name: str) -> str:
    """Return the docstring of a rule's module."""
    return import_module(f"campaign.checks.rules.{name}").__doc__ or ""
