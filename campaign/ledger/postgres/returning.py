"""The SQL for what comes back after sending; `ledger.returning` decides what to do about it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import astuple
from typing import Literal

from campaign.ledger.postgres.database import Database, Parameters
from campaign.ledger.postgres.suppression import PostgresSuppressions
from campaign.ledger.returning import EventSuppression
from campaign.ledger.returns import BOUNCES, Event, Kind
from campaign.ledger.statuses import MAILED, listed


class PostgresReturnStatements:
    """The statements for a ledger in a database; see `returning.ReturnStatements`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.secret = database.secret

    def transaction(self) -> AbstractContextManager[None]:
        """Commit all changes within this context, or none."""
        return self._database.transaction()

    def tokens_from(self, begin: str) -> list[str]:
        """Return the bounce tokens with this prefix."""
        found = self._database.rows(
            "SELECT bounce_token FROM messages"
            " WHERE bounce_token >= %(begin)s AND bounce_token < %(begin)s || 'g'",
            {"begin": begin},
        )
        return [str(token) for (token,) in found]

    def row(
        self, column: Literal["bounce_token", "message_id"], value: str, campaign: int | None
    ) -> tuple[int, int, str, str, bool] | None:
        """Return (id, campaign, key, address, had) of the row with this value."""
        found = self._database.row(
            f"SELECT id, campaign, key, folded, status IN {listed(MAILED)} FROM messages"
            f" WHERE {column} = %(value)s AND (%(campaign)s::bigint IS NULL OR campaign = %(campaign)s)",
            {"value": value, "campaign": campaign},
        )
        return None if found is None else (found[0], found[1], str(found[2]), str(found[3]), bool(found[4]))

    def copies_had(self, row: int) -> list[str]:
        """Return the addresses of the row's copies that were accepted, or may have been."""
        found = self._database.rows(
            f"SELECT folded FROM copies WHERE message = %s AND status IN {listed(MAILED)}", (row,)
        )
        return [str(folded) for (folded,) in found]

    def most_addresses(self, row: int) -> int | None:
        """Return how many addresses the row's largest envelope had."""
        found = self._database.row("SELECT max(addresses) FROM attempts WHERE message = %s", (row,))
        return found[0] if found else None

    def cells(self, campaign: int, key: str) -> Mapping[str, str]:
        """Return a row's cells by column."""
        found = self._database.row(
            "SELECT l.columns, m.fields FROM messages m JOIN layouts l ON l.id = m.layout"
            " WHERE m.campaign = %s AND m.key = %s",
            (campaign, key),
        )
        columns, cells = map(json.loads, found) if found is not None else ([], [])
        return dict(zip(columns, cells, strict=False))

    def has_event(self, campaign: int, key: str, source: str) -> bool:
        """Whether a row has an event from this source."""
        known = "SELECT 1 FROM events WHERE campaign = %s AND key = %s AND source = %s"
        return self._database.row(known, (campaign, key, source)) is not None

    def events_kept(self, campaign: int, key: str, kind: Kind, address: str) -> int:
        """Return how many events of this kind are kept for an address of a row."""
        return self._count(
            "SELECT count(*) FROM events WHERE campaign = %s AND key = %s AND source IS NOT NULL"
            " AND kind = %s AND address = %s",
            (campaign, key, str(kind), address),
        )

    def append(self, event: Event) -> int:
        """Append an event, and return its id."""
        return self._count(
            "INSERT INTO events (campaign, key, address, kind, time, text, source)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id",
            (event.campaign, event.key, event.address, str(event.kind), event.time, event.text, event.source),
        )

    def addresses(self, campaign: int, kind: Kind) -> int:
        """Return how many addresses of a campaign have an event of this kind."""
        return self._count(
            "SELECT count(DISTINCT address) FROM events"
            " WHERE campaign = %s AND kind = %s AND source IS NOT NULL",
            (campaign, str(kind)),
        )

    def accepted(self, campaign: int) -> int:
        """Return how many rows of a campaign were accepted."""
        return self._count(
            "SELECT count(*) FROM messages WHERE campaign = %s AND status = 'accepted'", (campaign,)
        )

    def forgiven_at(self, address: str, until: int) -> int:
        """Return when, up to `until`, the address last accepted a message without a bounce; 0 for never."""
        return self._count(
            "SELECT coalesce(max(settled_at), 0) FROM ("
            " SELECT settled_at, campaign, key FROM messages WHERE folded = %(address)s"
            " AND status = 'accepted'"
            " UNION ALL SELECT c.settled_at, m.campaign, m.key FROM copies c"
            " JOIN messages m ON m.id = c.message WHERE c.folded = %(address)s AND c.status = 'accepted') a"
            " WHERE settled_at <= %(until)s AND NOT EXISTS"
            " (SELECT 1 FROM events e WHERE e.campaign = a.campaign AND e.key = a.key"
            f"  AND e.address = %(address)s AND e.source IS NOT NULL AND e.kind IN {listed(BOUNCES)})",
            {"address": address, "until": until},
        )

    def campaigns_of(self, address: str, kind: Kind, since: int) -> int:
        """Return how many campaigns have an event of this kind for it, of messages settled after `since`."""
        return self._count(
            "SELECT count(DISTINCT e.campaign) FROM events e"
            " JOIN messages m ON m.campaign = e.campaign AND m.key = e.key"
            " WHERE e.address = %s AND e.kind = %s AND e.source IS NOT NULL"
            " AND coalesce(m.settled_at, e.time) > %s",
            (address, str(kind), since),
        )

    def suppress(self, suppression: EventSuppression, unless: str, *, anew: bool) -> None:
        """Suppress an address, unless the pattern `unless` is on the list."""
        self._database.change(
            "INSERT INTO suppressions (pattern, campaign, state, reason, added_at, event)"
            " SELECT %s, %s, %s, %s, %s, %s WHERE NOT EXISTS (SELECT 1 FROM suppressions WHERE pattern = %s)"
            " ON CONFLICT (pattern, campaign) DO UPDATE SET state = excluded.state, reason = excluded.reason,"
            " added_at = excluded.added_at, run = NULL, event = excluded.event"
            " WHERE suppressions.state != 'released' OR %s",
            (*astuple(suppression), unless, anew),
        )

    def suppress_waiting(self, addresses: list[str]) -> None:
        """Suppress the waiting rows and copies to these addresses, which have just been added to the list."""
        PostgresSuppressions(self._database).suppress_waiting(addresses)

    def dispute(self, campaign: int, kind: Kind) -> None:
        """Set to `disputed` the suppressions that a campaign's events of this kind caused."""
        self._database.change(
            "UPDATE suppressions SET state = 'disputed' WHERE state = 'released'"
            " AND (pattern, campaign, event) IN (SELECT address, campaign, id FROM events"
            "  WHERE campaign = %s AND kind = %s AND source IS NOT NULL)",
            (campaign, str(kind)),
        )

    def disputed(self, campaign: int, kind: Kind) -> int:
        """Return how many suppressions caused by such events are `disputed`."""
        return self._count(
            "SELECT count(*) FROM events e JOIN suppressions s"
            " ON s.pattern = e.address AND s.campaign = e.campaign AND s.event = e.id"
            " WHERE e.campaign = %s AND e.kind = %s AND e.source IS NOT NULL AND s.state = 'disputed'",
            (campaign, str(kind)),
        )

    def latest(self, campaign: int) -> list[tuple[int, str]]:
        """Return (id, name) of a campaign, if it exists, and of the other one that sent most recently."""
        found = self._database.rows(
            "SELECT id, name FROM campaigns c ORDER BY id = %(campaign)s DESC,"
            " (SELECT max(settled_at) FROM messages m WHERE m.campaign = c.id AND m.status = 'accepted')"
            " DESC NULLS LAST LIMIT"
            " CASE WHEN EXISTS (SELECT 1 FROM campaigns WHERE id = %(campaign)s) THEN 2 ELSE 1 END",
            {"campaign": campaign},
        )
        return [(found_id, str(name)) for found_id, name in found]

    def codes(self, campaign: int, most: int) -> list[tuple[str, Kind, str, int]]:
        """Return a campaign's most frequent (domain, kind, first word, addresses), at most `most`."""
        return [
            (str(domain)[1:], Kind(str(kind)), str(code), count)
            for domain, kind, code, count in self._database.rows(
                "SELECT '@' || split_part(address, '@', -1), kind, split_part(text, ' ', 1),"
                " count(DISTINCT address) FROM events WHERE campaign = %s AND source IS NOT NULL"
                " GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3 LIMIT %s",
                (campaign, most),
            )
        ]

    def words(self, campaign: int) -> list[tuple[str, Kind, str]]:
        """Return (key, kind, text) of a campaign's events, the oldest first."""
        found = self._database.rows(
            "SELECT key, kind, text FROM events WHERE campaign = %s AND source IS NOT NULL ORDER BY id",
            (campaign,),
        )
        return [(str(key), Kind(str(kind)), str(text)) for key, kind, text in found]

    def _count(self, statement: str, parameters: Parameters) -> int:
        found = self._database.row(statement, parameters)
        return found[0] if found else 0
