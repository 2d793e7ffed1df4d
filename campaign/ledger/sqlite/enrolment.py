"""Compares the list with the ledger: what a run will do, so that it can be shown first.

Each run reads the list again (`staging`). One SQL expression (`_BECOMES`) gives the status that each row
will have; `plan` counts it, `to_send` filters by it, and `apply` writes it, so the three agree. Nothing
is written to the ledger before `apply`. Memory use does not grow with the list.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator

from campaign.ledger.planning import Tally, by_another_key, recipient
from campaign.ledger.processes import refuse_while_others_are_seen
from campaign.ledger.protocols import Choices, Plan
from campaign.ledger.sqlite.database import Database
from campaign.ledger.sqlite.runs import owners_of_doubt
from campaign.ledger.sqlite.staging import Staging
from campaign.ledger.sqlite.suppression import is_suppressed
from campaign.ledger.statuses import MAILED, listed
from campaign.model import BadRow, Recipient

_BECOMES = """
CASE
    WHEN m.status = 'accepted' THEN 'accepted'
    WHEN m.status IN ('in_flight', 'in_doubt') AND NOT :resend_doubt THEN 'in_doubt'
    WHEN s.bad IS NOT NULL THEN 'invalid'
    WHEN (m.status = 'refused' OR m.status = 'withdrawn' AND m.left_as = 'refused') AND m.folded = s.folded
        AND NOT (:retry_refused AND s.suppressed = 0) THEN 'refused'
    WHEN s.suppressed THEN 'suppressed'
    WHEN m.status = 'deferred' AND m.email = s.email THEN 'deferred'
    ELSE 'pending'
END
"""

_CHANGED = "(m.email != s.email OR m.name != s.name OR m.fields != s.fields OR m.layout != :layout)"

_JOINED = "FROM temp.staged s LEFT JOIN messages m ON m.campaign = :campaign AND m.key = s.key"


class SqliteEnrolment:
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
        found = self._database.row(
            "SELECT id FROM layouts WHERE columns = ?", (json.dumps(columns, ensure_ascii=False),)
        )
        self._layout = found[0] if found else -1
        self._staging.stage(columns, rows, shown)

    def plan(self) -> Plan:
        """Count what `apply` will do; see `protocols.Enrolment`."""
        if self._choices.resend_doubt:
            refuse_while_others_are_seen(owners_of_doubt(self._database, self._campaign_id))
        tally = Tally(self._staging.met)
        for becomes, was, differs, suppressed, count in self._database.rows(
            f"SELECT {_BECOMES}, m.status, {_CHANGED}, s.suppressed, count(*) {_JOINED} GROUP BY 1, 2, 3, 4",
            self._parameters,
        ):
            tally.add(str(becomes), None if was is None else str(was), bool(differs), bool(suppressed), count)
        before = self._database.row("SELECT rows FROM campaigns WHERE id = :campaign", self._parameters)
        ends = self._database.row(
            f"SELECT (SELECT s.email {_SENDABLE} ORDER BY s.number LIMIT 1),"
            f" (SELECT s.email {_SENDABLE} ORDER BY s.number DESC LIMIT 1)",
            self._parameters,
        ) or ("", "")
        owed = self._database.row(_OWED, self._parameters)
        had = self._count(f"messages WHERE campaign = :campaign AND status IN {listed(MAILED)}")
        return tally.plan(
            copies=owed[0] if owed else 0,
            withdrawn=self._count(f"messages m WHERE {_LEAVES}"),
            ends=(str(ends[0] or ""), str(ends[1] or "")),
            again=by_another_key(self._database.rows(_BY_ANOTHER_KEY, self._parameters))
            if had and tally.to_send["new"]
            else (0, 0),
            had=had,
            rows=self._staging.met + self._count("temp.staged"),
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
        return {one for one in addresses if is_suppressed(self._database, self._campaign_id, one)}

    def apply(self, now: int) -> None:
        """Write the plan, all of it or nothing. `now` is UTC ns. The campaign must be registered."""
        assert self._campaign_id > 0  # noqa: S101
        with self._database.transaction():
            self._staging.recognise()
            self._database.change(
                "INSERT INTO layouts (columns) VALUES (?) ON CONFLICT DO NOTHING",
                (json.dumps(self._columns, ensure_ascii=False),),
            )
            found = self._database.row(
                "SELECT id FROM layouts WHERE columns = ?", (json.dumps(self._columns, ensure_ascii=False),)
            )
            assert found is not None  # noqa: S101
            parameters = {**self._parameters, "layout": found[0], "now": now}
            self._database.change(
                f"UPDATE messages AS m SET status = 'withdrawn', left_as = m.status WHERE {_LEAVES}",
                parameters,
            )
            for statement in (_WITH_THEIR_ROW, _ENROL, _LEFT, *_COPIES):
                self._database.change(statement, parameters)
            self._database.change(
                "UPDATE campaigns SET rows = :met + (SELECT count(*) FROM temp.staged) WHERE id = :campaign",
                {**parameters, "met": self._staging.met},
            )
        self._database.checkpoint()  # if the WAL is lost, a mail server's log can still settle these rows
        self._staging.drop()

    @property
    def _parameters(self) -> dict[str, object]:
        return {
            "campaign": self._campaign_id,
            "layout": self._layout,
            "resend_doubt": self._choices.resend_doubt,
            "retry_refused": self._choices.retry_refused,
        }


_LEAVES = """
m.id IN (
    SELECT id FROM messages WHERE campaign = :campaign
    AND status IN ('pending', 'deferred', 'invalid', 'suppressed', 'refused')
) AND NOT EXISTS (SELECT 1 FROM temp.staged s WHERE s.key = m.key)
"""

_SENDABLE = f"{_JOINED} WHERE {_BECOMES} IN ('pending', 'deferred')"

# A row that was refused or in doubt and is sent again starts at 0 attempts, and so does a new address.
_ENROL = f"""
INSERT INTO messages (campaign, key, number, line, email, folded, domain, hash, name, layout, fields, status,
                      due_at, attempts, spared, reply)
SELECT :campaign, key, number, line, email, folded, domain, hash, name, :layout, fields, becomes,
       CASE WHEN was IN ('pending', 'deferred') AND email = was_email THEN was_due_at ELSE 0 END,
       CASE WHEN was IS NULL OR becomes = 'pending' AND (was != 'pending' OR email != was_email)
            THEN 0 ELSE was_attempts END,
       CASE WHEN was IN ('pending', 'deferred') AND email = was_email THEN was_spared ELSE 0 END,
       coalesce(bad, CASE WHEN was = becomes OR was_left_as = becomes THEN was_reply ELSE '' END)
FROM (SELECT s.*, {_BECOMES} AS becomes, m.status AS was, m.email AS was_email, m.due_at AS was_due_at,
             m.attempts AS was_attempts, m.spared AS was_spared, m.reply AS was_reply,
             m.left_as AS was_left_as {_JOINED})
WHERE becomes NOT IN ('accepted', 'in_doubt') AND (was IS NOT NULL OR suppressed < 2)
ORDER BY number
ON CONFLICT (campaign, key) DO UPDATE SET
    number = excluded.number, line = excluded.line, email = excluded.email, folded = excluded.folded,
    domain = excluded.domain, hash = excluded.hash, name = excluded.name, left_as = NULL,
    spared = excluded.spared, layout = excluded.layout, fields = excluded.fields, status = excluded.status,
    due_at = excluded.due_at, attempts = excluded.attempts, reply = excluded.reply
WHERE status != excluded.status OR number != excluded.number OR line != excluded.line
   OR email != excluded.email OR name != excluded.name OR fields != excluded.fields
   OR layout != excluded.layout OR reply != excluded.reply
"""


# Rows that may have been sent keep their status when they leave the list; `left_as` marks them.
_LISTED = (
    "(o.id IN (SELECT row_id FROM temp.met) OR EXISTS (SELECT 1 FROM temp.staged l WHERE l.key = o.key))"
)
_LEFT = f"""
UPDATE messages AS o SET left_as = CASE WHEN {_LISTED} THEN NULL ELSE status END
WHERE campaign = :campaign AND status IN {listed(MAILED)} AND (left_as IS NULL) = (NOT {_LISTED})
"""

# New rows whose address was sent this campaign through other rows: by whether such a row leaves the list
# now, and whether one stays.
_BY_ANOTHER_KEY = f"""
SELECT leaves, stays, count(*) FROM (
    SELECT max(o.left_as IS NULL AND NOT {_LISTED}) AS leaves, max({_LISTED}) AS stays
    FROM temp.staged s CROSS JOIN messages o
    ON o.folded = s.folded AND o.campaign = :campaign AND o.status IN {listed(MAILED)}
    WHERE s.bad IS NULL AND s.suppressed = 0
        AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.campaign = :campaign AND m.key = s.key)
    GROUP BY s.number
) GROUP BY leaves, stays
"""


# The copies of a row that is sent again are sent again with it, in one envelope.
_WITH_THEIR_ROW = f"""
UPDATE copies SET status = 'pending', due_at = :now, attempts = 0
WHERE status IN ('refused', 'in_doubt') AND EXISTS (
    SELECT 1 FROM messages m JOIN temp.staged s ON s.key = m.key
    WHERE m.id = copies.message AND m.campaign = :campaign AND {_BECOMES} = 'pending'
    AND (m.status IN ('refused', 'in_doubt', 'in_flight') OR m.left_as = 'refused')
)
"""

# Unsent copies of accepted rows on the list; the user's choices for rows apply to copies too.
_OF_THE_LIST = (
    "message IN (SELECT row_id FROM temp.met) AND message IN"
    " (SELECT id FROM messages WHERE campaign = :campaign AND status = 'accepted')"
)
_COPIES = (
    "UPDATE copies SET status = 'withdrawn' WHERE status IN ('pending', 'deferred') AND message IN (SELECT id"
    " FROM messages WHERE campaign = :campaign AND status = 'accepted' AND id NOT IN"
    " (SELECT row_id FROM temp.met))",
    "UPDATE copies SET status = 'pending', due_at = :now, attempts = 0 WHERE (status = 'withdrawn'"
    " OR status = 'refused' AND :retry_refused OR status = 'in_doubt' AND :resend_doubt)"
    f" AND {_OF_THE_LIST}",
)
_OWED = f"""
SELECT count(*) FROM copies WHERE {_OF_THE_LIST} AND (status IN ('pending', 'deferred', 'withdrawn')
    OR status = 'refused' AND :retry_refused OR status = 'in_doubt' AND :resend_doubt)
"""
