"""What the rules look at: a compiled campaign, and what is seen of its list."""

from __future__ import annotations

from dataclasses import dataclass

from campaign.address import AddressError, parse_mailbox
from campaign.campaignfile.models import CampaignFile
from campaign.checks.sources import Sources
from campaign.delivery import Message
from campaign.message.render import Renderer
from campaign.preparation import Survey
from campaign.recipients.list import Recipients


@dataclass(frozen=True, slots=True)
class Checked:
    """A campaign whose templates are compiled; `survey` is filled while its rows are read."""

    campaign: CampaignFile
    recipients: Recipients
    renderer: Renderer
    survey: Survey
    sources: Sources

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
