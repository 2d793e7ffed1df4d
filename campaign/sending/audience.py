"""Who watches the main job and answers its question, and what the job tells them at its end."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from campaign.delivery import Result
from campaign.ledger import Ledger, Summary
from campaign.model import Status
from campaign.sending.dispatch import Stop
from campaign.sending.pace.outlook import Outlook
from campaign.sending.plan import Plan
from campaign.sending.sender import Listener


class Interruptible(Protocol):
    """A run that can be stopped."""

    def interrupt(self, *, at_once: bool = False) -> None:
        """Stop once the pending replies are in; `at_once`: do not wait for them."""

    def outlook(self, addresses: int, due: int | None, last_due: int | None) -> Outlook:
        """Return when the next of `addresses` addresses may leave, and when all will have left."""


class Audience(Listener, Protocol):
    """Shows a person what the job does, and asks them. The job calls these methods as it goes."""

    def progress(self, doing: str, done: int, of: int) -> None:
        """`done` of `of` items of a step are done."""

    def leased(self, ledger: Ledger) -> None:
        """The lease is ours: nobody else sends from this ledger now."""

    def planned(self, plan: Plan) -> None:
        """The plan is ready to be shown."""

    def agrees(self, plan: Plan) -> bool:
        """Return whether the person agrees to the plan; called only if `Options.asks`."""

    def sending(self, run: Interruptible, total: int) -> AbstractContextManager[None]:
        """Return a context to send in: inside it, signals may interrupt the run."""


@dataclass(frozen=True, slots=True)
class Finished:
    """Why the job ended, and the state of the campaign (`summary`: None after a dry run or a test).

    `replies` are (status, reply, rows) for what was not accepted, the most frequent first. `results` are
    a test's, one for each address. Sending took `took` seconds. It added `suppressed` addresses to the
    suppression list that are still there.
    """

    stop: Stop
    summary: Summary | None = None
    replies: tuple[tuple[Status, str, int], ...] = ()
    results: tuple[Result, ...] = ()
    took: float = 0.0
    suppressed: int = 0
    outlook: Outlook | None = None
    """When the next message could leave, and the last one, if any are left."""
