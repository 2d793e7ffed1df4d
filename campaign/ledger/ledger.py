"""A ledger, opened for one campaign: the entry to everything that the protocols describe.

An intent is on the disk before the last byte of its message can leave, and its result follows as soon
as the answer is read. What a dead process left between the two is in doubt, and is not resent without
a decision. Nothing here assumes that this is the only process.

How it is stored is up to `sqlite` or `postgres`; this module holds no SQL, and loads the one that is used.
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

    Opening writes nothing: `register`, `adopt` and `start` make the campaign known. Until then it reads
    as a campaign without rows. `secret` keys Message-IDs and tokens, and is this ledger's own.
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
        """Open the ledger at `location` for the campaign `name`, whose file is `file`.

        Raises UserError if there is none and `create` is false, if it is not one of ours, newer or
        damaged, if it cannot be written, or if its server cannot be reached.
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
        """Make a ledger that vanishes with `close`, with the campaign `name` registered."""
        from campaign.ledger.sqlite.storage import SqliteStorage

        ledger = cls(SqliteStorage.temporary(), name, None)
        ledger.register()
        return ledger

    @property
    def suppressions(self) -> Suppressions:
        """Who gets nothing from any campaign of the ledger."""
        return self.storage.suppressions

    def tell(self, tell: TellWait) -> None:
        """Tell from now on, once for each time, that a run waits for a server that is away."""
        self.storage.tell(tell)

    def close(self) -> None:
        """Close the ledger; a run that broke off is ended first."""
        self.storage.close()

    def register(self) -> None:
        """Make the campaign known to the ledger, if it is not."""
        if self.campaign_id == _UNREGISTERED:
            self.campaign_id = self._campaigns.register(self.name, self._file, time.time_ns())

    def adopt(self, key: Sequence[KeyColumn] | None = None) -> None:
        """Register the campaign, and record where its file is now and, unless None, its key columns."""
        self.register()
        self._campaigns.adopt(self.campaign_id, self._file, key)

    @property
    def known_file(self) -> Path | None:
        """The campaign file that this campaign was last sent from, as far as the ledger knows."""
        return self._campaigns.file(self.campaign_id)

    @property
    def knows_campaign(self) -> bool:
        """Whether this campaign was ever registered here."""
        return self.campaign_id != _UNREGISTERED

    @property
    def knows_nobody(self) -> bool:
        """Whether no campaign has ever enrolled a row here, as in a new ledger."""
        return self._campaigns.knows_nobody()

    @property
    def incomplete(self) -> str:
        """Why messages of this campaign may have been sent that the ledger does not know of, or ""."""
        return self.storage.incomplete(self.name, time.time_ns())

    def mark_incomplete(self, why: str) -> None:
        """Note that messages may have been sent that the ledger does not know of."""
        self.storage.mark_incomplete(why)

    def complete(self, *, for_all: bool = False) -> None:
        """Note that the ledger knows of all that was sent of this campaign, or of every one."""
        self.storage.complete(None if for_all else self.name)

    def back_up(self, path: Path, now: int) -> None:
        """Write a consistent copy to `path`, which knows that it is one; also while a process sends.

        Raises UserError where the ledger is on a server, which has its own tools for that.
        """
        self.storage.back_up(path, now)

    def shares_its_secret_with(self, path: Path) -> bool:
        """Whether another ledger is at `path`, and one of the two is a copy of the other."""
        return self.storage.is_copy_of(path)

    def other_key(self, key: Sequence[KeyColumn]) -> tuple[KeyColumn, ...] | None:
        """Return the key of those who have had a message, if it differs from `key`.

        By another key the same people may be new rows, and be mailed again.
        """
        known = self._campaigns.mailed_key(self.campaign_id)
        if known is None or (len(known) == len(key) and all(map(KeyColumn.same_as, known, key))):
            return None
        return known

    @property
    def other_name(self) -> tuple[str, int] | None:
        """The name that this file had when it was sent from last, and how many have had that campaign.

        None where this name is known too: that it is another campaign was agreed to.
        """
        if self._file is None or self._campaigns.has_rows(self.campaign_id):
            return None
        for name, file, had in self._campaigns.others_mailed(self.campaign_id):
            if file == self._file or (file.exists() and file.samefile(self._file)):
                return name, had
        return None

    @property
    def digest(self) -> str | None:
        """The digest of the content that recipients have had, or None if nobody has had any."""
        return self._campaigns.mailed_digest(self.campaign_id)

    def set_digest(self, digest: str) -> None:
        """Record the digest of the content that is sent from now on."""
        self._campaigns.set_digest(self.campaign_id, digest)

    def enrolment(self, choices: Choices | None = None) -> Enrolment:
        """Begin a reading of the list. Only `apply` needs the campaign to be registered."""
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

        `shared`: other runs may have a share of it at the same time, where machines can share the ledger.

        No row can be due later than `longest_delay` ns from now: what seems to be is due now, because
        the clock was set back. `suppress`: addresses that are permanently dead join the suppression
        list.
        """
        self.register()
        return self.storage.start(
            self.campaign_id, scope, now, longest_delay, suppress=suppress, shared=shared
        )

    @property
    def machines(self) -> Machines | None:
        """What several machines share of this campaign; None where only one can send."""
        return self.storage.machines(self.campaign_id)

    @property
    def questions(self) -> Questions | None:
        """The questions to workers; None where there can be none."""
        return self.storage.questions()

    def at_one_moment(self) -> AbstractContextManager[None]:
        """Let all that is read within be of one moment, whatever another process writes meanwhile."""
        return self.storage.at_one_moment()

    @property
    def history(self) -> History:
        """What happened in this campaign."""
        return self.storage.history(self.campaign_id)

    def returns(self, *, of_every_campaign: bool = False) -> Returns:
        """What came back of this campaign's messages, or of every campaign's."""
        from campaign.ledger.returning import Returns

        return Returns(self.storage.return_statements(), None if of_every_campaign else self.campaign_id)

    def ages(self, scope: Scope, now: Moment, period: int, places: int) -> list[tuple[int, int]]:
        """Return (age in ns, addresses) of the last starts in `scope`, the oldest first; see `Run.ages`."""
        return self.storage.ages(scope, now, period, places)

    def is_suppressed(self, address: str) -> bool:
        """Whether the suppression list covers an address."""
        return self.storage.is_suppressed(self.campaign_id, address)

    def note_log(self, path: Path, size: int) -> None:
        """Note that this run appends to the log of attempts at `path`, which has so many octets."""
        self.storage.note_log(self.campaign_id, str(path), size)

    @property
    def log_note(self) -> LogNote | None:
        """What the last run that had a log of attempts has noted."""
        return self.storage.log_note(self.campaign_id)

    def log_is_complete(self) -> None:
        """Remove this run's note, unless it still has messages on their way."""
        self.storage.log_is_complete(self.campaign_id)

    def recorded(self, note: LogNote) -> Iterator[Attempted]:
        """Iterate over the attempts of the run that made a note, those in doubt too; forgotten ones not."""
        return self.storage.recorded(self.campaign_id, note)

    def settle_doubt(
        self, status: Status, keys: Iterable[str], words: str, now: int, *, waiting: bool = False
    ) -> int:
        """Settle rows in doubt as `status` (accepted or pending); return how many there were.

        Raises UserError where one would be pending whose process can still be seen: it may send it yet.
        `waiting`: settle those that are pending, deferred or refused instead.
        """
        of = (Status.PENDING, Status.DEFERRED, Status.REFUSED) if waiting else (Status.IN_DOUBT,)
        return self.storage.settle_doubt(self.campaign_id, status, keys, words, now, of)

    def forget(self, text: str, now: int) -> Forgotten:
        """Remove a person's data from every campaign: those of an address, or of a bad row's exact cell.

        Raises UserError where `text` is neither.
        """
        return self.storage.forget(text, now)

    def scrubbed(self, now: int) -> bool:
        """Remove what is left in the ledger's storage of people who were forgotten.

        Returns False while something is left. Raises LeaseHeld while another process is sending: it does
        this itself when its run ends.
        """
        return self.storage.scrubbed(now)

    def problem(self, message: str) -> Problem:
        """Return a problem located at the ledger."""
        return self.storage.problem(message)
