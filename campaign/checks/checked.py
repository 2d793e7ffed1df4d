"""What rules look at: a compiled campaign, and what was seen of its list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from campaign.checks.sources import Sources
from campaign.message.content import Content

if TYPE_CHECKING:  # its library is slow to load, and rules look at messages without it
    from campaign.campaignfile.models import CampaignFile
    from campaign.message.render import Renderer
    from campaign.preparation import Survey
    from campaign.recipients.list import Recipients


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules ask of the campaign file beside what messages are made from. It holds no secret.

    `list` is the list's file as it is shown, `host` the server's name in lower case, `is_loopback` whether
    that is this machine, and `signs_for` the domain of the DKIM signature.
    """

    list: str
    host: str
    is_loopback: bool
    signs_for: str | None


@dataclass(frozen=True, slots=True)
class Checked:
    """A campaign whose templates are compiled, as far as it is known in every process."""

    content: Content
    facts: Facts
    sources: Sources


@dataclass(frozen=True, slots=True)
class Surveyed:
    """The whole of a campaign, after its last row was read."""

    campaign: CampaignFile
    recipients: Recipients
    renderer: Renderer
    survey: Survey
