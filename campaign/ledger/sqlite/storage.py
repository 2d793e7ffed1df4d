"""A ledger in a file: `Storage`, composed of the modules of this package.

Modules are imported when first needed: `status` only reads, and must start at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from campaign.clock import Moment, TellWait
from campaign.errors import Problem, UserError
from campaign.ledger.patterns import Forgotten
from campaign.ledger.scope import Scope
from campaign.ledger.sqlite.campaigns import SqliteCampaigns
from campaign.ledger.sqlite.database import Database
from campaign.ledger.sqlite.file import check_header
from campaign.ledger.sqlite.history import SqliteHistory
from campaign.ledger.sqlite.runs import close
from campaign.ledger.sqlite.schema import VERSION
from campaign.ledger.sqlite.starts import start_ages
from campaign.wording import shown

if TYPE_CHECKING:
    from campaign.ledger.attempted import Attempted, LogNote
    from campaign.ledger.protocols import Choices, Decision, Enrolment, Run
    from campaign.ledger.returning import ReturnStatements
    from campaign.ledger.suppressions import Suppressions


class SqliteStorage:
    """A ledger in a file, or a temporary one; see `storage.Storage`."""

    def __init__(self, database: Database, *, wal_untouched: bool = True) -> None:
        self.database = database
        self._wal_untouched = wal_untouched
        self._is_closed = False
        self.campaigns = SqliteCampaigns(database)
        self.secret = database.secret

    @classmethod
    def open(cls, path: Path, *, create: bool, read_only: bool) -> SqliteStorage:
        """Open the file at `path`; see `Ledger.open`."""
        if path.exists() and check_header(path) < VERSION:
            from campaign.ledger.sqlite.upgrade import bring_up_to_date

            bring_up_to_date(path)
        database = Database.open(path, create=create, read_only=read_only)
        try:
            from campaign.ledger.sqlite import completeness

            if read_only:
                completeness.record_visit(database, time.time_ns())
                return cls(database)
            completeness.end_dead_runs(database, time.time_ns())
            return cls(database, wal_untouched=completeness.is_wal_untouched(database))
        except BaseException:
            database.close()
            raise

    @classmethod
    def temporary(cls) -> SqliteStorage:
        """Make a ledger that is deleted when it is closed."""
        return cls(Database.temporary())

    def report_waits_to(self, report: TellWait) -> None:
        """Do nothing: a file has no server to wait for."""

    def close(self) -> None:
        """Close the file. A run of this process that was not ended is ended; the WAL stays for other runs.

        Closing twice does nothing.
        """
        if not self._is_closed:
            self._is_closed = True
            close(self.database, time.time_ns(), wal_untouched=self._wal_untouched)

    @cached_property
    def suppressions(self) -> Suppressions:
        """The suppression list, which holds for every campaign."""
        from campaign.ledger.sqlite.suppression import SqliteSuppressions

        return SqliteSuppressions(self.database)

    def at_one_moment(self) -> AbstractContextManager[None]:
        """Within this context, all reads see the ledger as it was at one moment."""
        return self.database.temporary_transaction()

    def enrolment(self, campaign_id: int, choices: Choices | None) -> Enrolment:
        """Begin to enrol a campaign's list."""
        from campaign.ledger.protocols import Choices
        from campaign.ledger.sqlite.enrolment import SqliteEnrolment

        return SqliteEnrolment(self.database, campaign_id, choices or Choices())

    def machines(self, campaign_id: int) -> None:
        """Return None: several machines cannot share a file."""

    def questions(self) -> None:
        """Return None: there are no workers to answer."""

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
        """Take the sender's lease; see `Ledger.start`."""
        from campaign.ledger.sqlite.run import SqliteRun

        return SqliteRun.start(self.database, campaign_id, scope, now, longest_delay, suppress=suppress)

    def history(self, campaign_id: int) -> SqliteHistory:
        """Return the history of a campaign."""
        return SqliteHistory(self.database, campaign_id)

    def return_statements(self) -> ReturnStatements:
        """Return the statements about bounces, complaints and unsubscribes."""
        from campaign.ledger.sqlite.returning import SqliteReturnStatements

        return SqliteReturnStatements(self.database)

    def start_ages(self, scope: Scope, now: Moment, period: int, places: int) -> list[tuple[int, int]]:
        """Return (age in ns, addresses) of the latest starts in `scope`; see `Run.start_ages`."""
        return start_ages(self.database, scope, now, period, places)

    def is_suppressed(self, campaign_id: int, address: str) -> bool:
        """Whether an address is suppressed in a campaign."""
        from campaign.ledger.sqlite.suppression import is_suppressed

        return is_suppressed(self.database, campaign_id, address)

    def note_log(self, campaign_id: int, path: str, size: int) -> None:
        """Record the attempt log that a run appends to; see `Ledger.note_log`."""
        from campaign.ledger.sqlite import lognotes

        lognotes.note(self.database, campaign_id, path, size)

    def log_note(self, campaign_id: int) -> LogNote | None:
        """Return the log note of the campaign's last run that wrote one, unless it was removed."""
        from campaign.ledger.sqlite import lognotes

        return lognotes.find(self.database, campaign_id)

    def remove_log_note(self, campaign_id: int) -> None:
        """Remove the current run's log note, unless messages are still in flight."""
        from campaign.ledger.sqlite import lognotes

        lognotes.remove(self.database, campaign_id)

    def recorded_attempts(self, campaign_id: int, note: LogNote) -> Iterator[Attempted]:
        """Iterate over the attempts of the run that wrote a note; see `Ledger.recorded_attempts`."""
        from campaign.ledger.sqlite import lognotes

        return lognotes.recorded_attempts(self.database, campaign_id, note)

    def settle_doubt(self, campaign_id: int, keys: Iterable[str], decision: Decision) -> int:
        """Settle the rows with these keys to which the decision applies; see `Ledger.settle_doubt`."""
        from campaign.ledger.sqlite import doubt

        return doubt.settle_doubt(self.database, campaign_id, keys, decision)

    def forget(self, text: str, now: int) -> Forgotten:
        """Erase a person's data from every campaign; see `Ledger.forget`."""
        from campaign.ledger.sqlite import forgetting

        return forgetting.forget(self.database, text, now)

    def scrub(self, now: int) -> bool:
        """Erase what remains of forgotten people in the file; see `Ledger.scrub`."""
        from campaign.ledger.sqlite import forgetting

        return forgetting.scrub(self.database, now)

    def incomplete(self, campaign: str, now: int) -> str:
        """Return why the ledger may not know of all messages of a campaign; "" if it does."""
        from campaign.ledger.sqlite import completeness

        return completeness.incomplete(self.database, campaign, now)

    def mark_incomplete(self, why: str) -> None:
        """Record why messages may be missing, for every campaign."""
        from campaign.ledger.sqlite import completeness

        completeness.mark_incomplete(self.database, why)

    def mark_complete(self, campaign: str | None) -> None:
        """Record that no message of a campaign is missing; None: of any campaign."""
        from campaign.ledger.sqlite import completeness

        completeness.mark_complete(self.database, campaign)

    def is_copy_of(self, path: Path) -> bool:
        """Whether there is another ledger at `path` with the same secret."""
        from campaign.ledger.sqlite import completeness

        if not path.exists() or (self.database.path is not None and path.samefile(self.database.path)):
            return False
        try:
            other = Database.open(path, create=False, read_only=True)
        except UserError:
            return False
        with closing(other):
            completeness.record_visit(other, time.time_ns())
            return other.secret() == self.database.secret()

    def back_up(self, path: Path, now: int) -> None:
        """Write a consistent copy to `path`, marked as a copy; also while a process is sending."""
        from campaign.ledger.sqlite import completeness

        self.database.copy_to(path)
        copy = Database.open(path, create=False)
        try:
            completeness.mark_as_copy(copy, now)
        finally:
            copy.close()

    def problem(self, message: str) -> Problem:
        """Return a problem located at the ledger's file."""
        path = self.database.path
        return Problem(message, shown(path) if path else None)
