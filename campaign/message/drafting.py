"""The task that goes to where templates run: to draft a campaign's messages.

    row: (wanted, cells in the columns' order, email, name, number, bounce token, unsubscribe token)

This module is small: who asks for drafts does not load what makes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from campaign.message.content import Content
from campaign.message.wanted import Looking
from campaign.templating.processes import starting
from campaign.templating.processes.work import Opened

_DRAFTER = "campaign.message.drafter"


def begin() -> None:
    """Start what starts workers: it loads what drafts while this process loads the rest of a command."""
    starting.begin([_DRAFTER])


@dataclass(frozen=True, slots=True)
class Drafting:
    """The task of drafting messages that are made from `content`, and of looking at them."""

    content: Content
    looking: Looking | None = None

    @property
    def modules(self) -> tuple[str, ...]:
        """What drafts, and what looks."""
        looks = self.looking.modules if self.looking is not None else ()
        return (_DRAFTER, *self._of_bodies(), *looks)

    def _of_bodies(self) -> Iterator[str]:
        """Yield what some kinds of templates need, so that a worker need not load it."""
        files, html = self.content.files, "campaign.message.html"
        yield from (f"{html}.{kind}" for kind in ("markdown", "mjml") if f"templates.{kind}" in files)
        if "templates.text" not in files:
            yield f"{html}.plaintext"

    def open(self) -> Opened:
        """Compile every template. Raises UserError with all problems."""
        from campaign.message.drafter import Drafter

        drafter = Drafter(self.content, self.looking)
        return drafter.known(), drafter.make
