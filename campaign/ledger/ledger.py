"""The ledger: who was mailed, who is to be mailed, and what was answered. One SQLite file.

    stage → plan → apply        (enrolment: the list against what is known)
    claim → intent → result     (sending: pending → in_flight → accepted | refused | deferred | in_doubt)
    suppressions, history, doubt  (what people add, ask and decide; also beside a running send)

Promise 2 of the project lives here: an intent is on the disk before the last byte of a message can
leave, and its answer follows at once; what a dead process left between the two is in doubt. Others
may come behind these same few methods: nothing assumes that it is the only process.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from campaign.errors import LeaseHeld, Problem
from campaign.ledger.protocols import Scope
from campaign.ledger.sqlite import doubt, forgetting
from campaign.ledger.sqlite.database import Database
from campaign.ledger.sqlite.enrolment import Choices, Enrolment
from campaign.ledger.sqlite.history import History
from campaign.ledger.sqlite.run import SqliteRun, is_suppressed, starts
from campaign.ledger.sqlite.suppression import Suppressions
from campaign.model import Status
from campaign.wording import shown

_ANY_ACCEPTED = "EXISTS (SELECT 1 FROM messages WHERE campaign = ?1 AND status = 'accepted')"


class Ledger:
    """One campaign's view of a ledger. `secret` keys Message-IDs and tokens; nobody else has it."""

    def __init__(self, database: Database, name: str, file: Path | None, *, register: bool = True) -> None:
        self.database = database
        self._name = name
        self._file = file
        found = database.row("SELECT id FROM campaigns WHERE name = ?", (name,))
        if found is None and register and name:
            database.change(
                "INSERT INTO campaigns (name, file, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (name, str(file or ""), time.time_ns()),
            )
            found = database.row("SELECT id FROM campaigns WHERE name = ?", (name,))
        self.campaign = found[0] if found else -1
        secret = database.setting("secret")
        assert isinstance(secret, bytes)  # noqa: S101
        self.secret = secret
        self.suppressions = Suppressions(database)
        self.history = History(database, self.campaign)

    @classmethod
    def open(
        cls, path: Path, name: str, file: Path | None = None, *, create: bool = True, read_only: bool = False
    ) -> Ledger:
        """Open the ledger at `path` for the campaign `name`, whose file is `file`.

        Raises UserError: no ledger where `create` is false, none of ours, newer, damaged, or a folder
        that cannot be written.
        """
        database = Database.open(path, create=create, read_only=read_only)
        return cls(database, name, file, register=create and not read_only)

    @classmethod
    def temporary(cls, name: str) -> Ledger:
        """Open a ledger that vanishes with `close`."""
        return cls(Database.temporary(), name, None)

    def close(self) -> None:
        """Close the file."""
        self.database.close()

    def enrolment(self, choices: Choices | None = None) -> Enrolment:
        """Begin a reading of the list."""
        return Enrolment(self.database, self.campaign, choices or Choices())

    def start(
        self, scope: Scope, now: int, longest_delay: int = 86_400_000_000_000, *, suppress: bool = True
    ) -> SqliteRun:
        """Take the sender's lease; see SqliteRun.start. Raises LeaseHeld, LedgerFull."""
        return SqliteRun.start(self.database, self.campaign, scope, now, longest_delay, suppress=suppress)

    def starts(self, scope: Scope, since: int) -> list[tuple[int, int]]:
        """Return (started_at, addresses) of every attempt in `scope` since then, oldest first; UTC ns."""
        return starts(self.database, scope, since)

    def is_suppressed(self, address: str) -> bool:
        """Whether the suppression list holds an address, or its domain."""
        return is_suppressed(self.database, address)

    @property
    def known_file(self) -> Path | None:
        """The file that this campaign was sent from last, as far as the ledger knows."""
        found = self.database.row("SELECT file FROM campaigns WHERE id = ?", (self.campaign,))
        return Path(str(found[0])) if found and found[0] else None

    def other_key(self, key: Sequence[str]) -> list[str] | None:
        """Return what told the rows apart when some were accepted, if that was something else.

        Those would be new rows by another key, and be mailed again.
        """
        found = self.database.row(
            f"SELECT key FROM campaigns WHERE id = ?1 AND {_ANY_ACCEPTED}", (self.campaign,)
        )
        known: list[str] | None = json.loads(str(found[0])) if found and found[0] else None
        return None if known == list(key) else known

    def adopt(self, key: Sequence[str]) -> None:
        """Note where the campaign's file is now, and what tells its rows apart."""
        self.database.change(
            "UPDATE campaigns SET file = ?, key = ? WHERE id = ?",
            (str(self._file), json.dumps(list(key), ensure_ascii=False), self.campaign),
        )

    @property
    def digest(self) -> str | None:
        """The digest of the content that recipients have had, or None where nobody has."""
        found = self.database.row(
            f"SELECT digest FROM campaigns WHERE id = ?1 AND {_ANY_ACCEPTED}", (self.campaign,)
        )
        return str(found[0]) if found and found[0] else None

    def set_digest(self, digest: str) -> None:
        """Note the digest of the content that is sent from now on."""
        self.database.change("UPDATE campaigns SET digest = ? WHERE id = ?", (digest, self.campaign))

    def settle_doubt(self, status: Status, keys: Iterable[str], words: str, now: int) -> int:
        """Say of rows in doubt that they are `status` (accepted or pending); return how many were."""
        return doubt.settle_doubt(self.database, self.campaign, status, keys, words, now)

    def forget(self, address: str, now: int) -> int:
        """Remove a person's data from every campaign; return how many rows that were."""
        return forgetting.forget(self.database, address, now)

    def scrubbed(self, now: int) -> bool:
        """Whether nothing of those who were forgotten is left in the files.

        Done here, unless another process is sending: then by that one, at its next heartbeat.
        """
        try:
            sending = self.start(Scope("", ""), now)
        except LeaseHeld:
            return forgetting.is_done(self.database)
        try:
            return forgetting.scrub(self.database)
        finally:
            sending.end(now)

    def problem(self, message: str) -> Problem:
        """Return a problem at the ledger's file."""
        path = self.database.path
        return Problem(message, shown(path) if path else None)
