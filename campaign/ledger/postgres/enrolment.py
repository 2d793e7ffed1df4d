"""Compares the list with the ledger: what a run will do, so that it can be shown first.

Each run reads the list again (`staging`). One SQL expression (`_BECOMES`) gives the status that each row
will have; `plan` counts it, `to_send` filters by it, and `apply` writes it, so the three agree. Nothing
is written to the ledger before `apply`, which is one transaction.

Workers may be sending the campaign during an enrolment. If another transaction changes a row meanwhile,
PostgreSQL evaluates the UPDATE again for the new row (READ COMMITTED). So `apply` computes everything in
UPDATEs, and never writes values computed from an earlier state. If a row that a worker holds has changed,
the worker loses its claim: an intent holds only for a row that its run has claimed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator

from campaign.ledger.planning import Tally, by_another_key, recipient
from campaign.ledger.postgres.database import Database
from campaign.ledger.postgres.runs import owners_of_doubt
from campaign.ledger.postgres.staging import Staging
from campaign.ledger.postgres.suppression import suppressed_among
from campaign.ledger.processes import refuse_while_others_are_seen
from campaign.ledger.protocols import Choices, Plan
from campaign.ledger.statuses import MAILED, listed
from campaign.model import BadRow, Recipient

_ENROLLING = 0x454E524F  # with the campaign's id: the advisory lock of its enrolment

# A row in flight belongs to a live run: rows of dead runs are in doubt by now.
_BECOMES = """
CASE
    WHEN m.status = 'accepted' THEN 'accepted'
    WHEN m.status = 'in_flight' OR m.status = 'in_doubt' AND NOT %(resend_doubt)s THEN 'in_doubt'
    WHEN s.bad IS NOT NULL THEN 'invalid'
    WHEN (m.status = 'refused' OR m.status = 'withdrawn' AND m.left_as = 'refused') AND m.folded = s.folded
        AND NOT (%(retry_refused)s AND s.suppressed = 0) THEN 'refused'
    WHEN s.suppressed > 0 THEN 'suppressed'
    WHEN m.status = 'deferred' AND m.email = s.email THEN 'deferred'
    ELSE 'pending'
END
"""

_CHANGED = "(m.email != s.email OR m.name != s.name OR m.fields != s.fields OR m.layout != %(layout)s)"
_JOINED = "FROM staged s LEFT JOIN messages m ON m.campaign = %(campaign)s AND m.key = s.key"
_SENDABLE = f"{_JOINED} WHERE {_BECOMES} IN ('pending', 'deferred')"


class PostgresEnrolment:
    """One enrolment of the list; see `protocols.Enrolment`."""

    def __init__(self, database: Database, campaign_id: int, choices: Choices) -> None:
        self._database = database
        self._campaign_id = campaign_id
        self._choices = choices
        self._columns: tuple[str, ...] = ()
        self._layout = -1
        self._staging = Staging(database, campaign_id)
        self.drop_duplicates = self._staging.drop_duplicates
        self.mark_bad = self._staging.mark_bad
        self.recognise = self._staging.recognise

    def stage(
        self, columns: tuple[str, ...], rows: Iterable[Recipient | BadRow], shown: Collection[str] = ()
    ) -> None:
        """Read the rows of the list, which have these `columns`; see `protocols.Enrolment`."""
        self._columns = columns
        self._layout = self._known_layout() or -1
        self._staging.stage(columns, rows, shown)

    def _known_layout(self) -> int | None:
        found = self._database.row("SELECT id FROM layouts WHERE sha256 = %s", (self._of_layout[0],))
        return found[0] if found else None

    @property
    def _of_layout(self) -> tuple[bytes, str]:
        columns = json.dumps(self._columns, ensure_ascii=False)
        return hashlib.sha256(columns.encode()).digest(), columns

    def plan(self) -> Plan:
        """Count what `apply` will do; see `protocols.Enrolment`."""
        self._staging.refuse_lost()
        if self._choices.resend_doubt:
            refuse_while_others_are_seen(owners_of_doubt(self._database, self._campaign_id))
        tally = Tally()
        for becomes, was, differs, suppressed, count in self._database.rows(
            f"SELECT {_BECOMES}, m.status, coalesce({_CHANGED}, false), s.suppressed > 0, count(*)"
            f" {_JOINED} GROUP BY 1, 2, 3, 4",
            self._parameters,
        ):
            tally.add(str(becomes), None if was is None else str(was), differs, suppressed, count)
        before = self._database.row("SELECT rows FROM campaigns WHERE id = %(campaign)s", self._parameters)
        ends = self._database.row(
            f"SELECT (SELECT s.email {_SENDABLE} ORDER BY s.number LIMIT 1),"
            f" (SELECT s.email {_SENDABLE} ORDER BY s.number DESC LIMIT 1)",
            self._parameters,
        ) or ("", "")
        had = self._count(f"messages WHERE campaign = %(campaign)s AND status IN {listed(MAILED)}")
        return tally.plan(
            copies=self._count(_OWED),
            withdrawn=self._count(f"messages m WHERE {_LEAVES}"),
            ends=(str(ends[0] or ""), str(ends[1] or "")),
            again=by_another_key(self._database.rows(_BY_ANOTHER_KEY, self._parameters))
            if had and tally.to_send["new"]
            else (0, 0),
            had=had,
            rows=self._count("staged"),
            rows_before=before[0] if before else None,
        )

    def _count(self, rows: str) -> int:
        found = self._database.row(f"SELECT count(*) FROM {rows}", self._parameters)
        return found[0] if found else 0

    def to_send(self) -> Iterator[Recipient]:
        """Iterate over the rows that will be sent, in list order."""
        columns = "s.number, s.line, s.key, s.email, s.name, s.fields, m.identity"
        statement = f"SELECT {columns} {_SENDABLE} ORDER BY s.number"
        for row in self._database.each(statement, self._parameters):
            yield recipient(self._columns, row)

    def suppressed(self, addresses: Collection[str]) -> set[str]:
        """Return those of the addresses that are suppressed in this campaign."""
        return suppressed_among(self._database, self._campaign_id, addresses)

    def apply(self, now: int) -> None:
        """Write the plan, all of it or nothing. `now` is UTC ns. The campaign must be registered."""
        assert self._campaign_id > 0  # noqa: S101
        self._staging.refuse_lost()
        self._database.retried_after_deadlock(lambda: self._apply(now))
        # Without new statistics the server does not know that most rows wait, and plans claims badly. In
        # vacuumed pages, rows can be counted by the index alone.
        self._database.change("VACUUM (ANALYZE) messages")
        self._staging.drop()

    def _apply(self, now: int) -> None:
        with self._database.transaction():
            # Only one enrolment of a campaign at a time.
            self._database.row("SELECT pg_advisory_xact_lock(%s, %s)", (_ENROLLING, self._campaign_id))
            self._staging.recognise()
            self._database.change(
                "INSERT INTO layouts (sha256, columns) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                self._of_layout,
            )
            layout = self._known_layout()
            assert layout is not None  # noqa: S101
            parameters = {**self._parameters, "layout": layout, "now": now}
            for statement in (_WITHDRAW, _WITH_THEIR_ROW, _UPDATE, _INSERT, *_LEFT, *_COPIES, _ROWS):
                self._database.change(statement, parameters)

    @property
    def _parameters(self) -> dict[str, object]:
        return {
            "campaign": self._campaign_id,
            "layout": self._layout,
            "resend_doubt": self._choices.resend_doubt,
            "retry_refused": self._choices.retry_refused,
        }


_LEAVES = """
m.campaign = %(campaign)s AND m.status IN ('pending', 'deferred', 'invalid', 'suppressed', 'refused')
AND NOT EXISTS (SELECT 1 FROM staged s WHERE s.key = m.key)
"""
_WITHDRAW = f"UPDATE messages m SET status = 'withdrawn', left_as = m.status, claim = NULL WHERE {_LEAVES}"

_SAME = "m.status IN ('pending', 'deferred') AND m.email = s.email"
# A row that was refused or in doubt and is sent again starts at 0 attempts, and so does a new address.
_ATTEMPTS = f"""
CASE WHEN {_BECOMES} = 'pending' AND (m.status != 'pending' OR m.email != s.email) THEN 0 ELSE m.attempts END
"""
_REPLY = f"""
coalesce(s.bad, CASE WHEN m.status = {_BECOMES} OR m.left_as = {_BECOMES} THEN m.reply ELSE '' END)
"""
_UPDATE = f"""
UPDATE messages m SET
    number = s.number, line = s.line, email = s.email, folded = s.folded, domain = s.domain, hash = s.hash,
    name = s.name, layout = %(layout)s, fields = s.fields, status = {_BECOMES}, left_as = NULL,
    due_at = CASE WHEN {_SAME} THEN m.due_at ELSE 0 END,
    spared = CASE WHEN {_SAME} THEN m.spared ELSE 0 END,
    attempts = {_ATTEMPTS},
    reply = {_REPLY},
    claim = CASE WHEN {_BECOMES} IN ('pending', 'deferred') AND NOT {_CHANGED} THEN m.claim END
FROM staged s WHERE m.campaign = %(campaign)s AND m.key = s.key
AND {_BECOMES} NOT IN ('accepted', 'in_doubt')
AND (m.status != {_BECOMES} OR m.number != s.number OR m.line != s.line OR {_CHANGED} OR m.reply != {_REPLY})
"""
_INSERT = f"""
INSERT INTO messages (campaign, key, number, line, email, folded, domain, hash, name, layout, fields, status,
                      due_at, attempts, spared, reply)
SELECT %(campaign)s, s.key, s.number, s.line, s.email, s.folded, s.domain, s.hash, s.name, %(layout)s,
       s.fields, {_BECOMES}, 0, 0, 0, coalesce(s.bad, '')
{_JOINED} WHERE m.id IS NULL AND s.suppressed < 2 ORDER BY s.number
ON CONFLICT (campaign, key) DO NOTHING
"""

# Rows that may have been sent keep their status when they leave the list; `left_as` marks them.
_LISTED = "EXISTS (SELECT 1 FROM staged l WHERE l.key = o.key)"
_LEFT = (
    f"UPDATE messages o SET left_as = NULL WHERE campaign = %(campaign)s AND status IN {listed(MAILED)}"
    f" AND left_as IS NOT NULL AND {_LISTED}",
    f"UPDATE messages o SET left_as = status WHERE campaign = %(campaign)s AND status IN {listed(MAILED)}"
    f" AND left_as IS NULL AND NOT {_LISTED}",
)

# New rows whose address was sent this campaign through other rows: by whether such a row leaves the list
# now, and whether one stays.
_BY_ANOTHER_KEY = f"""
SELECT leaves, stays, count(*) FROM (
    SELECT bool_or(o.left_as IS NULL AND NOT {_LISTED}) AS leaves, bool_or({_LISTED}) AS stays
    FROM staged s JOIN messages o
    ON o.folded = s.folded AND o.campaign = %(campaign)s AND o.status IN {listed(MAILED)}
    WHERE s.bad IS NULL AND s.suppressed = 0
        AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.campaign = %(campaign)s AND m.key = s.key)
    GROUP BY s.number
) g GROUP BY leaves, stays
"""

# The copies of a row that is sent again are sent again with it, in one envelope.
_WITH_THEIR_ROW = f"""
UPDATE copies SET status = 'pending', due_at = %(now)s, attempts = 0, claim = NULL
WHERE status IN ('refused', 'in_doubt') AND EXISTS (
    SELECT 1 FROM messages m JOIN staged s ON s.key = m.key
    WHERE m.id = copies.message AND m.campaign = %(campaign)s AND {_BECOMES} = 'pending'
    AND (m.status IN ('refused', 'in_doubt', 'in_flight') OR m.left_as = 'refused')
)
"""

# Unsent copies of accepted rows on the list; the user's choices for rows apply to copies too.
_ACCEPTED = "SELECT o.id FROM messages o WHERE o.campaign = %(campaign)s AND o.status = 'accepted'"
_OF_THE_LIST = f"message IN ({_ACCEPTED} AND {_LISTED})"
_COPIES = (
    "UPDATE copies SET status = 'withdrawn', claim = NULL WHERE status IN ('pending', 'deferred')"
    f" AND message IN ({_ACCEPTED} AND NOT {_LISTED})",
    "UPDATE copies SET status = 'pending', due_at = %(now)s, attempts = 0, claim = NULL"
    " WHERE (status = 'withdrawn' OR status = 'refused' AND %(retry_refused)s"
    f" OR status = 'in_doubt' AND %(resend_doubt)s) AND {_OF_THE_LIST}",
)
_OWED = f"""
copies WHERE {_OF_THE_LIST} AND (status IN ('pending', 'deferred', 'withdrawn')
    OR status = 'refused' AND %(retry_refused)s OR status = 'in_doubt' AND %(resend_doubt)s)
"""
_ROWS = "UPDATE campaigns SET rows = (SELECT count(*) FROM staged) WHERE id = %(campaign)s"
