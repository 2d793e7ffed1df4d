"""The campaigns of a ledger: name, file, key columns and content digest of each; see `storage.Campaigns`.

`campaigns.key` is a JSON list of column names; `{"address": name}` is the column that holds the address.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from campaign.ledger.postgres.database import Database
from campaign.ledger.statuses import MAILED, listed
from campaign.model import KeyColumn

_ANY_HAD = f"EXISTS (SELECT 1 FROM messages WHERE campaign = c.id AND status IN {listed(MAILED)})"


class PostgresCampaigns:
    """The table `campaigns`; see `storage.Campaigns`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, name: str) -> int | None:
        """Return the id of the campaign `name`, or None."""
        found = self._database.row("SELECT id FROM campaigns WHERE name = %s", (name,))
        return found[0] if found else None

    def register(self, name: str, file: Path | None, now: int) -> int:
        """Add a campaign if it is missing, and return its id. `now` is UTC ns."""
        self._database.change(
            "INSERT INTO campaigns (name, file, created_at) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
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
            "UPDATE campaigns SET file = %s, key = coalesce(%s, key) WHERE id = %s",
            (str(file or ""), words, campaign_id),
        )

    def file(self, campaign_id: int) -> Path | None:
        """Return the path of the campaign file that was last recorded."""
        found = self._database.row("SELECT file FROM campaigns WHERE id = %s", (campaign_id,))
        return Path(str(found[0])) if found and found[0] else None

    def mailed_key(self, campaign_id: int) -> tuple[KeyColumn, ...] | None:
        """Return the recorded key columns, if any row may have been sent."""
        found = self._database.row(
            f"SELECT key FROM campaigns c WHERE id = %s AND {_ANY_HAD}", (campaign_id,)
        )
        return tuple(map(_column, json.loads(str(found[0])))) if found and found[0] else None

    def others_mailed(self, campaign_id: int) -> list[tuple[str, Path, int]]:
        """Return (name, file, rows sent) of each other campaign that sent any, the newest first."""
        rows = self._database.rows(
            "SELECT name, file, had FROM (SELECT id, name, file,"
            f" (SELECT count(*) FROM messages WHERE campaign = c.id AND status IN {listed(MAILED)}) AS had"
            " FROM campaigns c WHERE id != %s AND file != '') o WHERE had > 0 ORDER BY id DESC",
            (campaign_id,),
        )
        return [(str(name), Path(str(file)), had) for name, file, had in rows]

    def has_rows(self, campaign_id: int) -> bool:
        """Whether a list was enrolled for this campaign."""
        found = self._database.row("SELECT 1 FROM messages WHERE campaign = %s LIMIT 1", (campaign_id,))
        return found is not None

    def is_empty(self) -> bool:
        """Whether no campaign of the ledger has a row."""
        return self._database.row("SELECT 1 FROM messages LIMIT 1") is None

    def mailed_digest(self, campaign_id: int) -> str | None:
        """Return the recorded digest of the content, if any row may have been sent."""
        found = self._database.row(
            f"SELECT digest FROM campaigns c WHERE id = %s AND {_ANY_HAD}", (campaign_id,)
        )
        return str(found[0]) if found and found[0] else None

    def set_digest(self, campaign_id: int, digest: str) -> None:
        """Record the digest of the content that will be sent from now on."""
        self._database.change("UPDATE campaigns SET digest = %s WHERE id = %s", (digest, campaign_id))


def _column(stored: str | dict[str, str]) -> KeyColumn:
    if isinstance(stored, dict):
        return KeyColumn(stored["address"], addressed=True)
    return KeyColumn(stored)
