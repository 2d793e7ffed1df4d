"""The campaigns of a ledger: name, file, key columns and content digest of each.

What was noted for a run counts only once somebody was accepted: before that, nobody can be mailed
twice by another key, or get other content than others had.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from campaign.ledger.sqlite.database import Database

_ANY_ACCEPTED = "EXISTS (SELECT 1 FROM messages WHERE campaign = ?1 AND status = 'accepted')"


class Campaigns:
    """The table `campaigns`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, name: str) -> int | None:
        """Return the id of the campaign `name`, or None."""
        found = self._database.row("SELECT id FROM campaigns WHERE name = ?", (name,))
        return found[0] if found else None

    def register(self, name: str, file: Path | None, now: int) -> int:
        """Add a campaign if it is missing, and return its id. `now` is UTC ns."""
        self._database.change(
            "INSERT INTO campaigns (name, file, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (name, str(file or ""), now),
        )
        campaign_id = self.find(name)
        assert campaign_id is not None  # noqa: S101
        return campaign_id

    def adopt(self, campaign_id: int, file: Path | None, key: Sequence[str]) -> None:
        """Record where the campaign's file is now, and its key columns."""
        self._database.change(
            "UPDATE campaigns SET file = ?, key = ? WHERE id = ?",
            (str(file or ""), json.dumps(list(key), ensure_ascii=False), campaign_id),
        )

    def file(self, campaign_id: int) -> Path | None:
        """Return the campaign file that was recorded last."""
        found = self._database.row("SELECT file FROM campaigns WHERE id = ?", (campaign_id,))
        return Path(str(found[0])) if found and found[0] else None

    def accepted_key(self, campaign_id: int) -> list[str] | None:
        """Return the recorded key columns, if any row was accepted."""
        found = self._database.row(
            f"SELECT key FROM campaigns WHERE id = ?1 AND {_ANY_ACCEPTED}", (campaign_id,)
        )
        columns: list[str] | None = json.loads(str(found[0])) if found and found[0] else None
        return columns

    def accepted_digest(self, campaign_id: int) -> str | None:
        """Return the recorded digest of the content, if any row was accepted."""
        found = self._database.row(
            f"SELECT digest FROM campaigns WHERE id = ?1 AND {_ANY_ACCEPTED}", (campaign_id,)
        )
        return str(found[0]) if found and found[0] else None

    def set_digest(self, campaign_id: int, digest: str) -> None:
        """Record the digest of the content that is sent from now on."""
        self._database.change("UPDATE campaigns SET digest = ? WHERE id = ?", (digest, campaign_id))
