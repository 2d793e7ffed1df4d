"""What each kind of ledger must be able to do for all its campaigns; `Ledger` is one campaign's view of it.

`sqlite/` keeps a ledger in a file, `postgres/` in a database on a server. Each has its own statements.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from campaign.clock import Moment, TellWait
from campaign.errors import Problem
from campaign.ledger.attempted import Attempted, LogNote
from campaign.ledger.history import History
from campaign.ledger.machines import Machines
from campaign.ledger.patterns import Forgotten
from campaign.ledger.protocols import Choices, Enrolment, Run
from campaign.ledger.questions import Questions
from campaign.ledger.returning import ReturnStatements
from campaign.ledger.scope import Scope
from campaign.ledger.suppressions import Suppressions
from campaign.model import KeyColumn, Status


class Campaigns(Protocol):
    """The campaigns of a ledger: name, file, key columns and content digest of each.

    What was noted for a run counts only once somebody was accepted, or may have been: before that,
    nobody can be mailed twice by another key, or get other content than others had.
    """

    def find(self, name: str) -> int | None:
        """Return the id of the campaign `name`, or None."""

    def register(self, name: str, file: Path | None, now: int) -> int:
        """Add a campaign if it is missing, and return its id. `now` is UTC ns."""

    def adopt(self, campaign_id: int, file: Path | None, key: Sequence[KeyColumn] | None) -> None:
        """Record where the campaign's file is now, and its key columns; None leaves those."""

    def file(self, campaign_id: int) -> Path | None:
        """Return the campaign file that was recorded last."""

    def mailed_key(self, campaign_id: int) -> tuple[KeyColumn, ...] | None:
        """Return the recorded key columns, if anybody has had a message."""

    def others_mailed(self, campaign_id: int) -> list[tuple[str, Path, int]]:
        """Return name, file and number of recipients of the other campaigns, the latest first."""

    def has_rows(self, campaign_id: int) -> bool:
        """Whether a list was enrolled under this name."""

    def knows_nobody(self) -> bool:
        """Whether no campaign of the ledger has a row."""

    def mailed_digest(self, campaign_id: int) -> str | None:
        """Return the recorded digest of the content, if anybody has had a message."""

    def set_digest(self, campaign_id: int, digest: str) -> None:
        """Record the digest of the content that is sent from now on."""


class Storage(Protocol):
    """A ledger that is open. Its methods may be called from any thread."""

    @property
    def campaigns(self) -> Campaigns:
        """The campaigns that it knows."""

    @property
    def suppressions(self) -> Suppressions:
        """Who gets nothing from any of them."""

    def secret(self) -> bytes:
        """Return the key of this ledger's HMACs."""

    def tell(self, tell: TellWait) -> None:
        """Tell when a run waits for the server; see `Ledger.tell`."""

    def close(self) -> None:
        """Close the ledger."""

    def at_one_moment(self) -> AbstractContextManager[None]:
        """Let all that is read within be of one moment, whatever another process writes meanwhile."""

    def enrolment(self, campaign_id: int, choices: Choices | None) -> Enrolment:
        """Begin a reading of a campaign's list."""

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
        """Take the sender's lease, or a share of it; see `Ledger.start`."""

    def machines(self, campaign_id: int) -> Machines | None:
        """Return what several machines share of a campaign, None where only one can send."""

    def questions(self) -> Questions | None:
        """Return the questions to workers, None where there can be none."""

    def history(self, campaign_id: int) -> History:
        """Return what happened in a campaign."""

    def return_statements(self) -> ReturnStatements:
        """Return the statements about what came back of messages."""

    def ages(self, scope: Scope, now: Moment, period: int, places: int) -> list[tuple[int, int]]:
        """Return (age in ns, addresses) of the last starts in `scope`, the oldest first; see `Run.ages`."""

    def is_suppressed(self, campaign_id: int, address: str) -> bool:
        """Whether the suppression list covers an address in a campaign."""

    def note_log(self, campaign_id: int, path: str, size: int) -> None:
        """Note the log that a run appends to; see `Ledger.note_log`."""

    def log_note(self, campaign_id: int) -> LogNote | None:
        """Return what the last run that had a log of attempts has noted."""

    def log_is_complete(self, campaign_id: int) -> None:
        """Remove this run's note, unless it still has messages on their way."""

    def recorded(self, campaign_id: int, note: LogNote) -> Iterator[Attempted]:
        """Iterate over the attempts of the run that made a note; see `Ledger.recorded`."""

    def settle_doubt(
        self,
        campaign_id: int,
        status: Status,
        keys: Iterable[str],
        words: str,
        now: int,
        of: Collection[Status],
    ) -> int:
        """Settle rows of these statuses; see `Ledger.settle_doubt`."""

    def forget(self, text: str, now: int) -> Forgotten:
        """Remove a person's data from every campaign; see `Ledger.forget`."""

    def scrubbed(self, now: int) -> bool:
        """Remove what is left in the storage of people who were forgotten; see `Ledger.scrubbed`."""

    def incomplete(self, campaign: str, now: int) -> str:
        """Return why messages of a campaign may be missing in this ledger, "" if none is."""

    def mark_incomplete(self, why: str) -> None:
        """Note why messages may be missing, of any campaign."""

    def is_copy_of(self, path: Path) -> bool:
        """Whether another ledger is at `path`, with the same secret."""

    def complete(self, campaign: str | None) -> None:
        """Note that this ledger knows of all that was sent."""

    def back_up(self, path: Path, now: int) -> None:
        """Write a consistent copy to `path`. Raises UserError where another program does that."""

    def problem(self, message: str) -> Problem:
        """Return a problem located at the ledger."""
