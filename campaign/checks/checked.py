"""What the rules look at, and how they say what they find."""

from __future__ import annotations

from dataclasses import dataclass

from campaign.address import AddressError, parse_mailbox
from campaign.campaignfile.models import CampaignFile
from campaign.delivery import Message
from campaign.errors import Problem, Severity
from campaign.preparation import Preparation, Survey


@dataclass(frozen=True, slots=True)
class Checked:
    """A prepared campaign; `text` and `html` are the parts of its first message."""

    preparation: Preparation
    text: str | None
    html: str | None
    rule: str = ""

    @property
    def campaign(self) -> CampaignFile:
        """The campaign file."""
        return self.preparation.campaign

    @property
    def survey(self) -> Survey:
        """What was seen of the list."""
        return self.preparation.survey

    @property
    def first(self) -> Message | None:
        """The first message, if there is any."""
        return self.survey.first

    @property
    def sender(self) -> str:
        """The address in From, or where that is a template, the first envelope's."""
        try:
            return parse_mailbox(self.campaign.from_).address
        except AddressError:
            return self.first.envelope.sender if self.first is not None else ""

    def warn(self, path: str, message: str) -> Problem:
        """Return a warning at a place of the campaign file."""
        return self.campaign.problem(path, message, Severity.WARNING, self.rule)

    def warn_list(self, message: str, line: int | None = None) -> Problem:
        """Return a warning at a line of the list."""
        file = self.preparation.recipients.file
        return Problem(message, file, line, severity=Severity.WARNING, rule=self.rule)
