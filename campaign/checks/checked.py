"""The input of rules: a compiled campaign, and the survey of its list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from campaign.checks.sources import Sources
from campaign.message.content import Content

if TYPE_CHECKING:  # pydantic is slow to load, and the processes that look at messages do not need it
    from campaign.campaignfile.models import CampaignFile
    from campaign.message.render import Renderer
    from campaign.recipients.list import Recipients
    from campaign.survey import Survey


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of the campaign file that rules need besides the content of messages. It holds no secret.

    `list` is the list's file for display, `host` the server's name in lower case, `is_loopback` whether
    that is this machine, and `signs_for` the domain of the DKIM signature.
    """

    list: str
    host: str
    is_loopback: bool
    signs_for: str | None


@dataclass(frozen=True, slots=True)
class Checked:
    """A campaign whose templates are compiled, as every process knows it."""

    content: Content
    facts: Facts
    sources: Sources


@dataclass(frozen=True, slots=True)
class Surveyed:
    """A campaign and its survey, after the last row was read."""

    campaign: CampaignFile
    recipients: Recipients
    renderer: Renderer
    survey: Survey
