"""What the rules look at: a compiled campaign, and what is seen of its list."""

from __future__ import annotations

from dataclasses import dataclass

from campaign.campaignfile.models import CampaignFile
from campaign.checks.sources import Sources
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
