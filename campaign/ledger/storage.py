"""What each kind of ledger must be able to do for all its campaigns; `Ledger` is one campaign's view of it.

`sqlite/` stores a ledger in a file, `postgres/` in a database on a server. Each has its own SQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from campaign.clock import Moment, TellWait
from campaign.errors import Problem
from campaign.ledger.attempted import Attempted, LogNote
from campaign.ledger.history import History
from campaign.ledger.machines import Machines
from campaign.ledger.patterns import Forgotten
from campaign.ledger.protocols import Choices, Decision, Enrolment, Run
from campaign.ledger.questions import Questions
from campaign.ledger.returning import ReturnStatements
from campaign.ledger.scope import Scope
from campaign.ledger.suppressions import Suppressions
from campaign.model import KeyColumn


class Campaigns(Protocol):
    """The campaigns of a ledger: name, file, key columns and content digest of each.

    A recorded key or digest counts only once a row was sent, or may have been: before that, nobody can be
    mailed twice under another key, or get other content than others did.
    """

    def find(self, name: str) -> int | None:
        """Return the id of the campaign `name`, or None."""

    def register(self, name: str, file: Path | None, now: int) -> int:
        """Add a campaign if it is missing, and return its id. `now` is UTC ns."""

    def adopt(self, campaign_id: int, file: Path | None, key: Sequence[KeyColumn] | None) -> None:
        """Record the path of the campaign's file, and its key columns; None leaves those unchanged."""

    def file(self, campaign_id: int) -> Path | None:
        """Return the path of the campaign file that was last recorded."""

    def mailed_key(self, campaign_id: int) -> tuple[KeyColumn, ...] | None:
        """Return the recorded key columns, if any row may have been sent."""

    def others_mailed(self, campaign_id: int) -> list[tuple[str, Path, int]]:
        """Return (name, file, rows sent) of each other campaign that sent any, the newest first."""

    def has_rows(self, campaign_id: int) -> bool:
        """Whether a list was enrolled for this campaign."""

    def is_empty(self) -> bool:
        """Whether no campaign of the ledger has a row."""

    def mailed_digest(self, campaign_id: int) -> str | None:
        """Return the recorded digest of the content, if any row may have been sent."""

    def set_digest(self, campaign_id: int, digest: str) -> None:
        """Record the digest of the content that will be sent from now on."""


class Storage(Protocol):
    """An open ledger. Any thread may call its methods."""

    @property
    def campaigns(self) -> Campaigns:
        """The campaigns of the ledger."""

    @property
    def suppressions(self) -> Suppressions:
        """The suppression list, which holds for all of them."""

    def secret(self) -> bytes:
        """Return this ledger's HMAC key."""

    def report_waits_to(self, report: TellWait) -> None:
        """Set a function to call when a run waits for the server; see `Ledger.report_waits_to`."""

    def close(self) -> None:
        """Close the ledger."""

    def at_one_moment(self) -> AbstractContextManager[None]:
        """Within this context, all reads see the ledger as it was at one moment."""

    def enrolment(self, campaign_id: int, choices: Choices | None) -> Enrolment:
        """Begin to enrol a campaign's list."""

    def start(
        self,
        campaign_id: int,
        scope: Scope,
        now: int,
        longest_delay: int,
        *,
        suppress: bool,
        shared: bool = False,
    ) -> Run:
        """Take the sender's lease, or share it; see `Ledger.start`."""

    def machines(self, campaign_id: int) -> Machines | None:
        """Return what several machines share of a campaign; None if only one machine can send."""

    def questions(self) -> Questions | None:
        """Return the questions to workers; None if the ledger cannot have workers."""

    def history(self, campaign_id: int) -> History:
        """Return the history of a campaign."""

    def return_statements(self) -> ReturnStatements:
        """Return the statements about bounces, complaints and unsubscribes."""

    def start_ages(self, scope: Scope, now: Moment, period: int, places: int) -> list[tuple[int, int]]:
        """Return (age in ns, addresses) of the latest starts in `scope`; see `Run.start_ages`."""

    def is_suppressed(self, campaign_id: int, address: str) -> bool:
        """Whether an address is suppressed in a campaign."""

    def note_log(self, campaign_id: int, path: str, size: int) -> None:
        """Record the attempt log that a run appends to; see `Ledger.note_log`."""

    def log_note(self, campaign_id: int) -> LogNote | None:
        """Return the log note of the campaign's last run that wrote one, unless it was removed."""

    def remove_log_note(self, campaign_id: int) -> None:
        """Remove the current run's log note, unless messages are still in flight."""

    def recorded_attempts(self, campaign_id: int, note: LogNote) -> Iterator[Attempted]:
        """Iterate over the attempts of the run that wrote a note; see `Ledger.recorded_attempts`."""

    def settle_doubt(self, campaign_id: int, keys: Iterable[str], decision: Decision) -> int:
        """Settle the rows with these keys to which the decision applies; see `Ledger.settle_doubt`."""

    def forget(self, text: str, now: int) -> Forgotten:
        """Erase a person's data from every campaign; see `Ledger.forget`."""

    def scrub(self, now: int) -> bool:
        """Erase what remains of forgotten people in the storage; see `Ledger.scrub`."""

    def incomplete(self, campaign: str, now: int) -> str:
        """Return why the ledger may not know of all messages of a campaign; "" if it does."""

    def mark_incomplete(self, why: str) -> None:
        """Record why messages may be missing, for every campaign."""

    def is_copy_of(self, path: Path) -> bool:
        """Whether there is another ledger at `path` with the same secret."""

    def mark_complete(self, campaign: str | None) -> None:
        """Record that the ledger knows of every message of a campaign; None: of all campaigns."""

    def back_up(self, path: Path, now: int) -> None:
        """Write a consistent copy to `path`. Raises UserError if the server has its own tools for that."""

    def problem(self, message: str) -> Problem:
        """Return a problem located at the ledger."""
