"""Opens a ledger for one campaign. What it can do is described by `protocols` and `history`.

An intent is committed, durably, before the last octet of the message's content can leave; the result is
recorded as soon as the reply is read. If the process dies between the two, the row becomes `in_doubt`:
it is not sent again unless a person decides so. At most one message per connection (`smtp.window`: N) is
in that state. Nothing here assumes that this is the only process.

`sqlite/` and `postgres/` store the data. This module contains no SQL, and imports only the one in use.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from campaign.clock import Moment, TellWait
from campaign.errors import Problem
from campaign.ledger.history import History
from campaign.ledger.patterns import Forgotten
from campaign.ledger.scope import Scope
from campaign.ledger.suppressions import Suppressions
from campaign.model import SECOND, KeyColumn, Status

if TYPE_CHECKING:
    from campaign.campaignfile.location import Location
    from campaign.ledger.attempted import Attempted, LogNote
    from campaign.ledger.machines import Machines
    from campaign.ledger.protocols import Choices, Enrolment, Run
    from campaign.ledger.questions import Questions
    from campaign.ledger.returning import Returns
    from campaign.ledger.storage import Storage

_UNREGISTERED = -1  # no campaign has this id


class Ledger:
    """One campaign's view of a ledger.

    Opening writes nothing: `register`, `adopt` and `start` add the campaign. Until then it reads like a
    campaign without rows. `secret` is this ledger's HMAC key, for Message-IDs and tokens.
    """

    def __init__(self, storage: Storage, name: str, file: Path | None) -> None:
        self.storage = storage
        self.name = name
        self._file = file
        self._campaigns = storage.campaigns
        self.campaign_id = self._campaigns.find(name) or _UNREGISTERED
        self.secret = storage.secret()

    @classmethod
    def open(
        cls,
        location: Location,
        name: str,
        file: Path | None = None,
        *,
        create: bool = True,
        read_only: bool = False,
    ) -> Ledger:
        """Open the ledger at `location` for the campaign `name`, whose campaign file is `file`.

        Raises UserError if there is none and `create` is false, if it is not a ledger, if a newer release
        wrote it, if it is damaged or cannot be written, or if its server cannot be reached.
        """
        storage: Storage
        if isinstance(location, Path):
            from campaign.ledger.sqlite.storage import SqliteStorage

            storage = SqliteStorage.open(location, create=create, read_only=read_only)
        else:
            from campaign.ledger.postgres.storage import PostgresStorage

            storage = PostgresStorage.open(location, create=create)
        try:
            return cls(storage, name, file)
        except BaseException:
            storage.close()
            raise

    @staticmethod
    def exists(location: Location) -> bool:
        """Whether there is a ledger at `location`. Raises UserError if its server cannot be reached."""
        if isinstance(location, Path):
            return location.exists()
        from campaign.ledger.postgres.storage import PostgresStorage

        return PostgresStorage.exists(location)

    @classmethod
    def temporary(cls, name: str) -> Ledger:
        """Make a ledger that is deleted by `close`, with the campaign `name` registered."""
        from campaign.ledger.sqlite.storage import SqliteStorage

        ledger = cls(SqliteStorage.temporary(), name, None)
        ledger.register()
        return ledger

    @property
    def suppressions(self) -> Suppressions:
        """The suppression list, which holds for every campaign of the ledger."""
        return self.storage.suppressions

    def report_waits_to(self, report: TellWait) -> None:
        """Set a function to call, once for each wait, when a run waits for an unreachable server."""
        self.storage.report_waits_to(report)

    def close(self) -> None:
        """Close the ledger. A run of this process that was not ended is ended first."""
        self.storage.close()

    def register(self) -> None:
        """Add the campaign to the ledger if it is not there."""
        if self.campaign_id == _UNREGISTERED:
            self.campaign_id = self._campaigns.register(self.name, self._file, time.time_ns())

    def adopt(self, key: Sequence[KeyColumn] | None = None) -> None:
        """Register the campaign, and record its file's path and, unless None, its key columns."""
        self.register()
        self._campaigns.adopt(self.campaign_id, self._file, key)

    @property
    def known_file(self) -> Path | None:
        """The campaign file that this campaign was last sent from, if known."""
        return self._campaigns.file(self.campaign_id)

    @property
    def knows_campaign(self) -> bool:
        """Whether this campaign was ever registered here."""
        return self.campaign_id != _UNREGISTERED

    @property
    def is_empty(self) -> bool:
        """Whether no campaign has ever enrolled a row here, as in a new ledger."""
        return self._campaigns.is_empty()

    @property
    def incomplete(self) -> str:
        """Why the ledger may not know of all messages that this campaign sent; "" if it does."""
        return self.storage.incomplete(self.name, time.time_ns())

    def mark_incomplete(self, why: str) -> None:
        """Record that messages may have been sent that the ledger does not know of."""
        self.storage.mark_incomplete(why)

    def mark_complete(self, *, for_all: bool = False) -> None:
        """Record that the ledger knows of every message sent, for this campaign or for all of them."""
        self.storage.mark_complete(None if for_all else self.name)

    def back_up(self, path: Path, now: int) -> None:
        """Write a consistent copy to `path`, marked as a copy; also while a process is sending.

        Raises UserError if the ledger is on a server, which has its own backup tools.
        """
        self.storage.back_up(path, now)

    def shares_its_secret_with(self, path: Path) -> bool:
        """Whether there is another ledger at `path` with the same secret: one is a copy of the other."""
        return self.storage.is_copy_of(path)

    def other_key(self, key: Sequence[KeyColumn]) -> tuple[KeyColumn, ...] | None:
        """Return the key columns under which people were mailed, if they differ from `key`, else None.

        With another key, the same people may be new rows, and would be mailed again.
        """
        known = self._campaigns.mailed_key(self.campaign_id)
        if known is None or (len(known) == len(key) and all(map(KeyColumn.same_as, known, key))):
            return None
        return known

    @property
    def other_name(self) -> tuple[str, int] | None:
        """The name under which this campaign file was last sent, and how many people that campaign mailed.

        None if the current name has rows too: then the user has already agreed to it as a campaign of its
        own.
        """
        if self._file is None or self._campaigns.has_rows(self.campaign_id):
            return None
        for name, file, had in self._campaigns.others_mailed(self.campaign_id):
            if file == self._file or (file.exists() and file.samefile(self._file)):
                return name, had
        return None

    @property
    def digest(self) -> str | None:
        """The digest of the content that was last sent, or None if nobody was mailed."""
        return self._campaigns.mailed_digest(self.campaign_id)

    def set_digest(self, digest: str) -> None:
        """Record the digest of the content that will be sent from now on."""
        self._campaigns.set_digest(self.campaign_id, digest)

    def enrolment(self, choices: Choices | None = None) -> Enrolment:
        """Begin to enrol the list. The campaign must be registered before `apply`."""
        return self.storage.enrolment(self.campaign_id, choices)

    def start(
        self,
        scope: Scope,
        now: int,
        longest_delay: int = 86_400 * SECOND,
        *,
        suppress: bool = True,
        shared: bool = False,
    ) -> Run:
        """Register the campaign and take the sender's lease. Raises LeaseHeld, LedgerFull.

        `shared`: other runs may hold the lease at the same time, if several machines can use the ledger.

        `longest_delay`, in ns, is the longest time until a row can be due. A row that is due later than
        that is due now: its time was set by a clock that was ahead. `suppress`: permanently dead addresses
        are added to the suppression list.
        """
        self.register()
        return self.storage.start(
            self.campaign_id, scope, now, longest_delay, suppress=suppress, shared=shared
        )

    @property
    def machines(self) -> Machines | None:
        """What several machines share of this campaign; None if only one machine can send."""
        return self.storage.machines(self.campaign_id)

    @property
    def questions(self) -> Questions | None:
        """The questions to workers; None if the ledger cannot have workers."""
        return self.storage.questions()

    def at_one_moment(self) -> AbstractContextManager[None]:
        """Within this context, all reads see the ledger as it was at one moment."""
        return self.storage.at_one_moment()

    @property
    def history(self) -> History:
        """The history of this campaign."""
        return self.storage.history(self.campaign_id)

    def returns(self, *, of_every_campaign: bool = False) -> Returns:
        """Return what came back, for this campaign or all: bounces, complaints, unsubscribe requests."""
        from campaign.ledger.returning import Returns

        return Returns(self.storage.return_statements(), None if of_every_campaign else self.campaign_id)

    def start_ages(self, scope: Scope, now: Moment, period: int, places: int) -> list[tuple[int, int]]:
        """Return (age in ns, addresses) of the latest starts in `scope`; see `Run.start_ages`."""
        return self.storage.start_ages(scope, now, period, places)

    def is_suppressed(self, address: str) -> bool:
        """Whether the suppression list covers an address."""
        return self.storage.is_suppressed(self.campaign_id, address)

    def note_log(self, path: Path, size: int) -> None:
        """Record that this run appends to the attempt log at `path`, whose size is now `size` octets."""
        self.storage.note_log(self.campaign_id, str(path), size)

    @property
    def log_note(self) -> LogNote | None:
        """The note of the last run that wrote an attempt log, unless it was removed."""
        return self.storage.log_note(self.campaign_id)

    def remove_log_note(self) -> None:
        """Remove this run's log note, unless messages are still in flight."""
        self.storage.remove_log_note(self.campaign_id)

    def recorded_attempts(self, note: LogNote) -> Iterator[Attempted]:
        """Iterate over the attempts of the run that wrote `note`, including those in doubt.

        Attempts for people who were forgotten are left out.
        """
        return self.storage.recorded_attempts(self.campaign_id, note)

    def settle_doubt(
        self, status: Status, keys: Iterable[str], words: str, now: int, *, waiting: bool = False
    ) -> int:
        """Settle rows in doubt as `status` (accepted or pending); return how many there were.

        Raises UserError if a row would become pending while the process that was sending it still exists:
        it may yet send it. `waiting`: settle rows that are pending, deferred or refused instead.
        """
        from campaign.ledger.protocols import Decision

        of = (Status.PENDING, Status.DEFERRED, Status.REFUSED) if waiting else (Status.IN_DOUBT,)
        return self.storage.settle_doubt(self.campaign_id, keys, Decision(status, words, now, of))

    def forget(self, text: str, now: int) -> Forgotten:
        """Erase a person's data from every campaign. `text` is an address, or the exact cell of a bad row.

        Raises UserError if it is neither.
        """
        return self.storage.forget(text, now)

    def scrub(self, now: int) -> bool:
        """Erase what remains of forgotten people in the ledger's storage; return whether nothing is left.

        Raises LeaseHeld while another process is sending: that one does it when its run ends.
        """
        return self.storage.scrub(now)

    def problem(self, message: str) -> Problem:
        """Return a problem located at the ledger."""
        return self.storage.problem(message)
