"""The task that goes to where templates run: to draft a campaign's messages.

    row: (wanted, cells in the columns' order, email, name, number, bounce token, unsubscribe token)

This module is small: who asks for drafts does not load what makes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from campaign.message.content import Content
from campaign.templating.processes.work import Opened


class Wanted(IntEnum):
    """What is wanted of a row."""

    DRAFT = 0
    WITH_IMAGES = 1  # a draft, with all images, those too that were given before
    PARTS = 2  # text and HTML, not encoded


@dataclass(frozen=True, slots=True)
class Drafting:
    """The task of drafting messages that are made from `content`."""

    content: Content

    @property
    def modules(self) -> tuple[str, ...]:
        """What drafts."""
        return ("campaign.message.drafter",)

    def open(self) -> Opened:
        """Compile every template. Raises UserError with all problems."""
        from campaign.message.drafter import Drafter

        drafter = Drafter(self.content)
        return drafter.known(), drafter.make
