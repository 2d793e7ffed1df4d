"""What a person asked of the main job, and what the job is about to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from campaign.errors import Problem
from campaign.ledger.protocols import Choices
from campaign.preparation import Preparation
from campaign.sending.account import Logins
from campaign.sending.preflight.changes import Change


class Mode(StrEnum):
    """Which command runs the job.

    A dry run writes nothing, connects to nothing and runs no command. A rehearsal has a temporary
    ledger, and runs no command either. A test sends one row's message to other people; the ledger
    counts it in the rate, and is otherwise unchanged.
    """

    SEND = "send"
    DRY_RUN = "dry run"
    REHEARSAL = "rehearsal"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the person asked for.

    `asks`: the audience can be asked; if not, it has agreed, and changes must be in `accept`.
    `wait`: seconds to wait for the lease if another process holds it.
    `jobs`: how many processes render, by default one per core.
    `logins` replaces the campaign's own. A test sends the message of row `row` to `test_to`.
    """

    mode: Mode = Mode.SEND
    limit: int | None = None
    skip_bad_rows: bool = False
    choices: Choices = field(default_factory=Choices)
    accept: frozenset[Change] = frozenset()
    asks: bool = False
    wait: float = 0.0
    new_ledger: bool = False
    logins: Logins | None = None
    row: int = 1
    test_to: tuple[str, ...] = ()
    jobs: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What the job is about to do. `changes` are those not accepted yet, each with its sentence.

    The rate alone makes it take `wait` ns from `now`, UTC ns. A run makes at most `limit` attempts.
    `new_ledger`: according to the ledger, nobody was mailed before. `findings` are those of `check`.
    """

    preparation: Preparation
    changes: tuple[tuple[Change, str], ...]
    wait: int
    now: int
    limit: int | None = None
    new_ledger: bool = False
    findings: tuple[Problem, ...] = ()

    @property
    def to_send(self) -> int:
        """Rows that would be sent, and copies that are still owed."""
        return self.preparation.plan.to_send + self.preparation.plan.copies

    @property
    def asks(self) -> bool:
        """Whether somebody must agree: messages would leave, or rows would be withdrawn by mistake."""
        return self.to_send > 0 or any(change is Change.LIST for change, _ in self.changes)

    def addresses_of(self, messages: int) -> int:
        """Return about how many addresses this number of messages goes to."""
        survey = self.preparation.survey
        return -(-messages * survey.addresses // survey.messages) if survey.messages else messages
