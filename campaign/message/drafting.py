"""The task for template processes: to draft a campaign's messages.

    row: (request, cells in the columns' order, email, name, number, bounce token, unsubscribe token)

This module is small, so that a process that only asks for drafts need not load the code that makes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from campaign.message.content import Content
from campaign.message.request import Looking
from campaign.templating.processes import starting
from campaign.templating.processes.work import Opened

_DRAFTER = "campaign.message.drafter"


def begin() -> None:
    """Start the process that starts workers: it loads the drafting code while a command loads the rest."""
    starting.begin([_DRAFTER])


@dataclass(frozen=True, slots=True)
class Drafting:
    """The task of drafting messages from `content`, and of looking at them."""

    content: Content
    looking: Looking | None = None

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules that draft, and those that look."""
        looks = self.looking.modules if self.looking is not None else ()
        return (_DRAFTER, *self._of_bodies(), *looks)

    def _of_bodies(self) -> Iterator[str]:
        """Yield the modules for this campaign's kinds of templates, so that workers have them preloaded."""
        files, html = self.content.files, "campaign.message.html"
        yield from (f"{html}.{kind}" for kind in ("markdown", "mjml") if f"templates.{kind}" in files)
        if "templates.text" not in files:
            yield f"{html}.plaintext"

    def open(self) -> Opened:
        """Compile every template. Raises UserError with all problems."""
        from campaign.message.drafter import Drafter

        drafter = Drafter(self.content, self.looking)
        return drafter.known(), drafter.make
