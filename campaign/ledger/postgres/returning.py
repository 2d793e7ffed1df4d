"""What comes back of messages: events with a `source`, and the suppressions that they make.

Such events store the folded address, so that an index finds what came back of it in every campaign. A
suppression of dead addresses that is not believed has the state `disputed`: it holds for its campaign
alone, like one that is `held`, and only a person ends it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hmac import compare_digest

from campaign.ledger.patterns import hashed
from campaign.ledger.postgres.database import Database
from campaign.ledger.postgres.suppression import PostgresSuppressions
from campaign.ledger.returns import (
    EVENTS_OF_ONE,
    FEW,
    FORGIVEN_AFTER,
    TOO_MANY_DEAD,
    Fate,
    Kind,
    Mailed,
    Recorded,
    Rules,
    Said,
    Shares,
    apportioned,
)

_FOUND_BY = 10  # digits of a token
_LEFT = "('accepted', 'in_doubt', 'in_flight')"  # a server may have taken what has one of these
_WISHES = (Kind.COMPLAINED, Kind.UNSUBSCRIBED)  # of a person, and so obeyed however often they come
_WORDS = {
    Kind.BOUNCED: "bounced",
    Kind.BOUNCED_FOR_NOW: "bounced again and again",
    Kind.COMPLAINED: "complained",
    Kind.UNSUBSCRIBED: "unsubscribed",
}


class PostgresReturns:
    """What came back of one campaign, or of every campaign where that is None; see `returns.Returns`."""

    def __init__(self, database: Database, campaign_id: int | None) -> None:
        self._database = database
        self._campaign_id = campaign_id
        self._accepted: dict[int, int] = {}  # counting a million rows for every bounce would take long

    def of_token(self, token: str) -> Mailed | None:
        """Return the row that has a bounce token.

        The index finds tokens that begin alike; the rest is compared in constant time.
        """
        alike = self._database.rows(
            "SELECT bounce_token FROM messages WHERE bounce_token >= %(begin)s"
            " AND bounce_token < %(begin)s || 'g'",
            {"begin": token[:_FOUND_BY]},
        )
        found = [str(known) for (known,) in alike if compare_digest(str(known).encode(), token.encode())]
        return self._mailed("bounce_token", found[0]) if found else None

    def of_message_id(self, message_id: str) -> Mailed | None:
        """Return the row that has a Message-ID."""
        return self._mailed("message_id", message_id)

    def _mailed(self, column: str, value: str) -> Mailed | None:
        found = self._database.row(
            f"SELECT id, campaign, key, folded, status IN {_LEFT} FROM messages"
            f" WHERE {column} = %(value)s AND (%(campaign)s::bigint IS NULL OR campaign = %(campaign)s)",
            {"value": value, "campaign": self._campaign_id},
        )
        if found is None:
            return None
        row_id, campaign, key, own, left = found
        addresses = {
            str(folded)
            for (folded,) in self._database.rows(
                f"SELECT folded FROM copies WHERE message = %s AND status IN {_LEFT}", (row_id,)
            )
        }
        most = self._database.row("SELECT max(addresses) FROM attempts WHERE message = %s", (row_id,))
        alone = most == (1,) and not addresses
        return Mailed(
            campaign, str(key), str(own), frozenset(addresses | ({str(own)} if left else set())), alone
        )

    def record(
        self, mailed: Mailed, said: Sequence[Said], source: str, now: int, rules: Rules
    ) -> list[Recorded]:
        """Record what a report says of a row; see `returns.Returns`."""
        with self._database.transaction():
            recorded = [
                Recorded(one.kind, address, self._record(mailed, address, one, source, now, rules))
                for address, one in apportioned(mailed, said)
            ]
        suppressed = [one.address for one in recorded if one.fate is Fate.SUPPRESSED]
        PostgresSuppressions(self._database).suppress_waiting(suppressed)
        return recorded

    def _record(self, mailed: Mailed, address: str, said: Said, source: str, now: int, rules: Rules) -> Fate:
        if not address:
            return Fate.UNNAMED
        row = (mailed.campaign, mailed.key)
        source = f"{source} {said.kind} {address}"
        known = "SELECT 1 FROM events WHERE campaign = %s AND key = %s AND source = %s"
        if self._database.row(known, (*row, source)) is not None:
            return Fate.KNOWN
        kept = self._database.row(
            "SELECT count(*) FROM events WHERE campaign = %s AND key = %s AND source IS NOT NULL"
            " AND kind = %s AND address = %s",
            (*row, str(said.kind), address),
        )
        full = kept is not None and kept[0] >= EVENTS_OF_ONE
        if full and said.kind not in _WISHES:
            return Fate.TOO_OFTEN
        event = None if full else self._tell(row, address, said, source, now)
        state = self._state(mailed.campaign, address, said.kind, now, rules)
        if state is None:
            return Fate.NOTED
        self._suppress(mailed.campaign, address, said, state, now, event)
        return Fate.HELD if state == "disputed" else Fate.SUPPRESSED

    def _tell(self, row: tuple[int, str], address: str, said: Said, source: str, now: int) -> int | None:
        """Append an event, and return its id."""
        found = self._database.row(
            "INSERT INTO events (campaign, key, address, kind, time, text, source)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id",
            (*row, address, str(said.kind), now, said.text, source),
        )
        return found[0] if found else None

    def _state(self, campaign: int, address: str, kind: Kind, now: int, rules: Rules) -> str | None:
        """Return the state of the suppression that an event makes, None for none."""
        match kind:
            case _ if kind in _WISHES:
                return "released"
            case Kind.BOUNCED if rules.dead:
                return "disputed" if self._too_many(campaign) else "released"
            case Kind.BOUNCED_FOR_NOW if rules.dead and self._bounced_in(address, now, rules) >= rules.soft:
                return "released"
            case _:
                return None

    def _too_many(self, campaign: int) -> bool:
        """Whether so many of a campaign are dead that its list or a relay is to blame."""
        bounced = self._addresses(campaign, Kind.BOUNCED)
        if bounced < FEW or bounced < TOO_MANY_DEAD * self._accepted_of(campaign):
            return False
        # What was believed before is not any more.
        self._database.change(
            "UPDATE suppressions SET state = 'disputed' WHERE state = 'released'"
            " AND (pattern, campaign, event) IN (SELECT address, campaign, id FROM events"
            "  WHERE campaign = %s AND kind = %s AND source IS NOT NULL)",
            (campaign, str(Kind.BOUNCED)),
        )
        return True

    def _bounced_in(self, address: str, now: int, rules: Rules) -> int:
        """Return in how many campaigns an address bounced for now, since it took a message last.

        A bounce is as old as the message that bounced: whoever reads them late counts the same.
        """
        forgiven = self._database.row(
            "SELECT max(settled_at) FROM ("
            " SELECT settled_at, campaign, key FROM messages WHERE folded = %(address)s"
            " AND status = 'accepted'"
            " UNION ALL SELECT c.settled_at, m.campaign, m.key FROM copies c"
            " JOIN messages m ON m.id = c.message WHERE c.folded = %(address)s AND c.status = 'accepted') a"
            " WHERE settled_at <= %(until)s AND NOT EXISTS"
            " (SELECT 1 FROM events e WHERE e.campaign = a.campaign AND e.key = a.key"
            "  AND e.address = %(address)s AND e.source IS NOT NULL"
            "  AND e.kind IN ('blocked', 'bounced', 'bounced_for_now'))",
            {"address": address, "until": now - FORGIVEN_AFTER},
        )
        since = max(now - rules.within, (forgiven[0] if forgiven else None) or 0)
        found = self._database.row(
            "SELECT count(DISTINCT e.campaign) FROM events e"
            " JOIN messages m ON m.campaign = e.campaign AND m.key = e.key"
            " WHERE e.address = %s AND e.kind = %s AND e.source IS NOT NULL"
            " AND coalesce(m.settled_at, e.time) > %s",
            (address, str(Kind.BOUNCED_FOR_NOW), since),
        )
        return found[0] if found else 0

    def _suppress(
        self, campaign: int, address: str, said: Said, state: str, now: int, event: int | None
    ) -> None:
        self._database.change(
            # A forgotten person is on the list already, as a hash; the address must not be stored.
            "INSERT INTO suppressions (pattern, campaign, state, reason, added_at, event)"
            " SELECT %s, %s, %s, %s, %s, %s WHERE NOT EXISTS (SELECT 1 FROM suppressions WHERE pattern = %s)"
            " ON CONFLICT (pattern, campaign) DO UPDATE SET state = excluded.state, reason = excluded.reason,"
            " added_at = excluded.added_at, run = NULL, event = excluded.event"
            " WHERE suppressions.state != 'released' OR %s",
            (
                address,
                campaign,
                state,
                f"{_WORDS[said.kind]}: {said.text}",
                now,
                event,
                hashed(self._database.secret(), address),
                said.kind in _WISHES,
            ),
        )

    def cell(self, mailed: Mailed, column: str) -> str:
        """Return a cell of a row, "" where its list has no such column."""
        found = self._database.row(
            "SELECT l.columns, m.fields FROM messages m JOIN layouts l ON l.id = m.layout"
            " WHERE m.campaign = %s AND m.key = %s",
            (mailed.campaign, mailed.key),
        )
        columns, cells = map(json.loads, found) if found is not None else ([], [])
        return str(dict(zip(columns, cells, strict=False)).get(column, ""))

    def counts(self) -> Mapping[Kind, int]:
        """Return how many addresses of the campaign each kind came back of."""
        return {kind: self._addresses(self._campaign_id or 0, kind) for kind in Kind}

    def held(self) -> int:
        """Return how many dead addresses are suppressed for this campaign alone, until a person decides."""
        found = self._database.row(
            "SELECT count(*) FROM events e JOIN suppressions s"
            " ON s.pattern = e.address AND s.campaign = e.campaign AND s.event = e.id"
            " WHERE e.campaign = %s AND e.kind = %s AND e.source IS NOT NULL AND s.state = 'disputed'",
            (self._campaign_id, str(Kind.BOUNCED)),
        )
        return found[0] if found else 0

    def shares(self) -> list[Shares]:
        """Return how this campaign was received, and the one that was mailed last before it."""
        campaigns = self._database.rows(
            "SELECT id, name FROM campaigns c ORDER BY id = %(campaign)s DESC,"
            " (SELECT max(settled_at) FROM messages m WHERE m.campaign = c.id AND m.status = 'accepted')"
            " DESC NULLS LAST LIMIT"
            " CASE WHEN EXISTS (SELECT 1 FROM campaigns WHERE id = %(campaign)s) THEN 2 ELSE 1 END",
            {"campaign": self._campaign_id or 0},
        )
        return [
            Shares(
                str(name),
                self._accepted_of(campaign),
                self._addresses(campaign, Kind.COMPLAINED),
                self._addresses(campaign, Kind.BOUNCED),
            )
            for campaign, name in campaigns
        ]

    def codes(self, most: int) -> list[tuple[str, Kind, str, int]]:
        """Return the `most` frequent (domain, kind, code, addresses) of what came back."""
        return [
            (str(domain)[1:], Kind(str(kind)), str(code), count)
            for domain, kind, code, count in self._database.rows(
                "SELECT '@' || split_part(address, '@', -1), kind, split_part(text, ' ', 1),"
                " count(DISTINCT address) FROM events WHERE campaign = %s AND source IS NOT NULL"
                " GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3 LIMIT %s",
                (self._campaign_id, most),
            )
        ]

    def last_words(self) -> Mapping[str, str]:
        """Return by a row's key what came back of it: the kind, and the last report's words."""
        return {
            str(key): f"{str(kind).replace('_', ' ')}: {text}"
            for key, kind, text in self._database.rows(
                "SELECT key, kind, text FROM events WHERE campaign = %s AND source IS NOT NULL ORDER BY id",
                (self._campaign_id,),
            )
        }

    def _addresses(self, campaign: int, kind: Kind) -> int:
        found = self._database.row(
            "SELECT count(DISTINCT address) FROM events"
            " WHERE campaign = %s AND kind = %s AND source IS NOT NULL",
            (campaign, str(kind)),
        )
        return found[0] if found else 0

    def _accepted_of(self, campaign: int) -> int:
        if campaign not in self._accepted:
            found = self._database.row(
                "SELECT count(*) FROM messages WHERE campaign = %s AND status = 'accepted'", (campaign,)
            )
            self._accepted[campaign] = found[0] if found else 0
        return self._accepted[campaign]
