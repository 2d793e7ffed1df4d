"""The campaigns of a ledger: name, file, key columns and content digest of each.

A recorded key or digest counts only once a row was sent, or may have been: before that, nobody can be
mailed twice under another key, or get other content than others did.

`campaigns.key` is a JSON list of column names; `{"address": name}` is the column that holds the address.
Ledgers of schema 1 have `ADDRESS` there, and put other names in backquotes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from campaign.ledger.sqlite.database import Database
from campaign.ledger.statuses import MAILED, listed
from campaign.model import KeyColumn

ADDRESS = "the address"  # what schema 1 calls the address column

_ANY_HAD = f"EXISTS (SELECT 1 FROM messages WHERE campaign = ?1 AND status IN {listed(MAILED)})"


class SqliteCampaigns:
    """The table `campaigns`; see `storage.Campaigns`."""

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

    def adopt(self, campaign_id: int, file: Path | None, key: Sequence[KeyColumn] | None) -> None:
        """Record the path of the campaign's file, and its key columns; None leaves those unchanged."""
        columns = [{"address": column.name} if column.addressed else column.name for column in key or ()]
        words = json.dumps(columns, ensure_ascii=False) if columns else None
        self._database.change(
            "UPDATE campaigns SET file = ?, key = coalesce(?, key) WHERE id = ?",
            (str(file or ""), words, campaign_id),
        )

    def is_empty(self) -> bool:
        """Whether no campaign has a row."""
        return self._database.row("SELECT 1 FROM messages LIMIT 1") is None

    def file(self, campaign_id: int) -> Path | None:
        """Return the path of the campaign file that was last recorded."""
        found = self._database.row("SELECT file FROM campaigns WHERE id = ?", (campaign_id,))
        return Path(str(found[0])) if found and found[0] else None

    def mailed_key(self, campaign_id: int) -> tuple[KeyColumn, ...] | None:
        """Return the recorded key columns, if any row may have been sent."""
        found = self._database.row(f"SELECT key FROM campaigns WHERE id = ?1 AND {_ANY_HAD}", (campaign_id,))
        return tuple(map(_column, json.loads(str(found[0])))) if found and found[0] else None

    def others_mailed(self, campaign_id: int) -> list[tuple[str, Path, int]]:
        """Return (name, file, rows sent) of each other campaign that sent any, the newest first."""
        rows = self._database.rows(
            "SELECT name, file, had FROM (SELECT id, name, file,"
            f" (SELECT count(*) FROM messages WHERE campaign = c.id AND status IN {listed(MAILED)}) AS had"
            " FROM campaigns c WHERE id != ? AND file != '') WHERE had ORDER BY id DESC",
            (campaign_id,),
        )
        return [(str(name), Path(str(file)), had) for name, file, had in rows]

    def has_rows(self, campaign_id: int) -> bool:
        """Whether a list was enrolled for this campaign."""
        found = self._database.row("SELECT 1 FROM messages WHERE campaign = ? LIMIT 1", (campaign_id,))
        return found is not None

    def mailed_digest(self, campaign_id: int) -> str | None:
        """Return the recorded digest of the content, if any row may have been sent."""
        found = self._database.row(
            f"SELECT digest FROM campaigns WHERE id = ?1 AND {_ANY_HAD}", (campaign_id,)
        )
        return str(found[0]) if found and found[0] else None

    def set_digest(self, campaign_id: int, digest: str) -> None:
        """Record the digest of the content that will be sent from now on."""
        self._database.change("UPDATE campaigns SET digest = ? WHERE id = ?", (digest, campaign_id))


def _column(stored: str | dict[str, str]) -> KeyColumn:
    if isinstance(stored, dict):
        return KeyColumn(stored["address"], addressed=True)
    return KeyColumn("", addressed=True) if stored == ADDRESS else KeyColumn(stored.strip("`"))
