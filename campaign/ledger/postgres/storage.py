"""A ledger in PostgreSQL: `Storage`, composed of the modules of this package."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from campaign.campaignfile.location import PostgresLocation
from campaign.clock import Moment, TellWait
from campaign.errors import UserError
from campaign.ledger.attempted import Attempted, LogNote
from campaign.ledger.patterns import Forgotten
from campaign.ledger.postgres import doubt, forgetting, lognotes
from campaign.ledger.postgres.campaigns import PostgresCampaigns
from campaign.ledger.postgres.database import Database
from campaign.ledger.postgres.enrolment import PostgresEnrolment
from campaign.ledger.postgres.history import PostgresHistory
from campaign.ledger.postgres.machines import PostgresMachines
from campaign.ledger.postgres.questions import PostgresQuestions
from campaign.ledger.postgres.returning import PostgresReturnStatements
from campaign.ledger.postgres.run import PostgresRun
from campaign.ledger.postgres.starts import start_ages
from campaign.ledger.postgres.suppression import PostgresSuppressions, is_suppressed
from campaign.ledger.protocols import Choices, Decision
from campaign.ledger.scope import Scope

_INCOMPLETE, _COMPLETE = "incomplete", "complete campaigns"  # settings


class PostgresStorage:
    """A ledger in a database; see `storage.Storage`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.campaigns = PostgresCampaigns(database)
        self.suppressions = PostgresSuppressions(database)
        self.secret = database.secret
        self.close = database.close
        self.problem = database.problem

    @classmethod
    def open(cls, location: PostgresLocation, *, create: bool) -> PostgresStorage:
        """Connect to the database; see `Ledger.open`."""
        return cls(Database.open(location, create=create))

    @staticmethod
    def exists(location: PostgresLocation) -> bool:
        """Whether the database has a ledger. Raises UserError if its server cannot be reached."""
        return Database.exists(location)

    def report_waits_to(self, report: TellWait) -> None:
        """Set a function to call when a run waits for the server; see `Ledger.report_waits_to`."""
        self.database.server_wait.report = report

    def at_one_moment(self) -> AbstractContextManager[None]:
        """Within this context, all reads see the ledger as it was at one moment."""
        return self.database.at_one_moment()

    def enrolment(self, campaign_id: int, choices: Choices | None) -> PostgresEnrolment:
        """Begin to enrol a campaign's list."""
        return PostgresEnrolment(self.database, campaign_id, choices or Choices())

    def machines(self, campaign_id: int) -> PostgresMachines:
        """Return what several machines share of a campaign."""
        return PostgresMachines(self.database, campaign_id)

    def questions(self) -> PostgresQuestions:
        """Return the questions to workers."""
        return PostgresQuestions(self.database)

    def start(
        self,
        campaign_id: int,
        scope: Scope,
        now: int,
        longest_delay: int,
        *,
        suppress: bool,
        shared: bool = False,
    ) -> PostgresRun:
        """Take the sender's lease, or share it; see `Ledger.start`."""
        return PostgresRun.start(
            self.database, campaign_id, scope, now, longest_delay, suppress=suppress, shared=shared
        )

    def history(self, campaign_id: int) -> PostgresHistory:
        """Return the history of a campaign."""
        return PostgresHistory(self.database, campaign_id)

    def return_statements(self) -> PostgresReturnStatements:
        """Return the statements about bounces, complaints and unsubscribes."""
        return PostgresReturnStatements(self.database)

    def start_ages(self, scope: Scope, now: Moment, period: int, places: int) -> list[tuple[int, int]]:
        """Return (age in ns, addresses) of the latest starts in `scope`; see `Run.start_ages`."""
        return start_ages(self.database, scope, now, period, places)

    def is_suppressed(self, campaign_id: int, address: str) -> bool:
        """Whether an address is suppressed in a campaign."""
        return is_suppressed(self.database, campaign_id, address)

    def note_log(self, campaign_id: int, path: str, size: int) -> None:
        """Record the attempt log that a run appends to; see `Ledger.note_log`."""
        lognotes.note(self.database, campaign_id, path, size)

    def log_note(self, campaign_id: int) -> LogNote | None:
        """Return the log note of the campaign's last run that wrote one, unless it was removed."""
        return lognotes.find(self.database, campaign_id)

    def remove_log_note(self, campaign_id: int) -> None:
        """Remove the current run's log note, unless messages are still in flight."""
        lognotes.remove(self.database, campaign_id)

    def recorded_attempts(self, campaign_id: int, note: LogNote) -> Iterator[Attempted]:
        """Iterate over the attempts of the run that wrote a note; see `Ledger.recorded_attempts`."""
        return lognotes.recorded_attempts(self.database, campaign_id, note)

    def settle_doubt(self, campaign_id: int, keys: Iterable[str], decision: Decision) -> int:
        """Settle the rows with these keys to which the decision applies; see `Ledger.settle_doubt`."""
        return doubt.settle_doubt(self.database, campaign_id, keys, decision)

    def forget(self, text: str, now: int) -> Forgotten:
        """Erase a person's data from every campaign; see `Ledger.forget`."""
        return forgetting.forget(self.database, text, now)

    def scrub(self, now: int) -> bool:
        """Vacuum the data of forgotten people out of the tables."""
        return forgetting.scrub(self.database)

    def incomplete(self, campaign: str, now: int) -> str:
        """Return why the ledger may not know of all messages of a campaign; "" if it does."""
        complete = json.loads(self.database.setting(_COMPLETE) or "[]")
        return "" if campaign in complete else self.database.setting(_INCOMPLETE) or ""

    def mark_incomplete(self, why: str) -> None:
        """Record why messages may be missing, for every campaign."""
        with self.database.transaction():
            self.database.set_setting(_INCOMPLETE, why)
            self.database.set_setting(_COMPLETE, None)

    def is_copy_of(self, path: Path) -> bool:
        """Return False: a database is not a copy of a file."""
        return False

    def mark_complete(self, campaign: str | None) -> None:
        """Record that the ledger knows of every message of a campaign; None: of all campaigns."""
        with self.database.transaction():
            complete = json.loads(self.database.setting(_COMPLETE) or "[]")
            if campaign is None:
                self.database.set_setting(_INCOMPLETE, None)
            self.database.set_setting(
                _COMPLETE, None if campaign is None else json.dumps([*complete, campaign])
            )

    def back_up(self, path: Path, now: int) -> None:
        """Raise UserError: PostgreSQL has its own programs for that."""
        raise UserError(self.problem("pg_dump copies a ledger in PostgreSQL, while a send runs too"))
