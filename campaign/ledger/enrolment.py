"""The list against the ledger: what a run will do, said before it is done.

Each run reads the list again into a temporary table. One expression says what becomes of each row
(`_BECOMES`); `plan` counts it, `to_send` iterates over it, `apply` writes it, so the three cannot
disagree. Nothing is written to the ledger before `apply`, and memory stays flat for any list.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from campaign.errors import Problem
from campaign.ledger.database import Database, Row
from campaign.model import BadRow, Recipient, Status

_BATCH = 2000

_STAGED = """
DROP TABLE IF EXISTS temp.staged;
CREATE TEMP TABLE staged (
    number INTEGER PRIMARY KEY, line INTEGER, key TEXT, email TEXT, name TEXT, fields TEXT, bad TEXT,
    suppressed INTEGER DEFAULT 0
);
"""

_BECOMES = """
CASE
    WHEN m.status = 'accepted' THEN 'accepted'
    WHEN m.status IN ('in_flight', 'in_doubt') AND NOT :resend_doubt THEN 'in_doubt'
    WHEN s.bad IS NOT NULL THEN 'invalid'
    WHEN s.suppressed THEN 'suppressed'
    WHEN m.status = 'refused' AND NOT :retry_refused AND fold(m.email) = fold(s.email) THEN 'refused'
    WHEN m.status = 'deferred' AND m.email = s.email THEN 'deferred'
    ELSE 'pending'
END
"""

_CHANGED = "(m.email != s.email OR m.name != s.name OR m.fields != s.fields OR m.layout != :layout)"

_JOINED = "FROM temp.staged s LEFT JOIN messages m ON m.campaign = :campaign AND m.key = s.key"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will do, in rows of the list.

    `to_send` counts new, changed, waiting and deferred rows together; `changed` and `returned`
    (withdrawn earlier, and in the list again) are among them. `withdrawn` left the list before they
    were sent. The rest is not sent: accepted earlier, refused earlier, in doubt, suppressed, and
    bad rows that are skipped. `first` and `last` are addresses.
    """

    to_send: int
    new: int
    changed: int
    returned: int
    deferred: int
    withdrawn: int
    accepted: int
    refused: int
    in_doubt: int
    suppressed: int
    invalid: int
    first: str = ""
    last: str = ""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the person decided: mail those in doubt again, and those refused earlier."""

    resend_doubt: bool = False
    retry_refused: bool = False


class Enrolment:
    """One reading of the list, staged beside the ledger of `campaign` (its row in `campaigns`)."""

    def __init__(self, database: Database, campaign: int, choices: Choices) -> None:
        self._database = database
        self._campaign = campaign
        self._choices = choices
        self._columns: tuple[str, ...] = ()
        self._layout = -1
        database.script(_STAGED)

    def stage(self, columns: tuple[str, ...], rows: Iterable[Recipient | BadRow]) -> None:
        """Read the list's rows; they are numbered as they stand in it."""
        self._columns = columns
        found = self._database.row(
            "SELECT id FROM layouts WHERE columns = ?", (json.dumps(columns, ensure_ascii=False),)
        )
        self._layout = found[0] if found else -1
        encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
        parameters = (
            (row.number, row.line, row.key, row.email, row.name, encode(list(row.row.values())), None)
            if isinstance(row, Recipient)
            else (row.number, row.line, row.key, "", "", "[]", "; ".join(p.message for p in row.problems))
            for row in rows
        )
        insert = "INSERT INTO temp.staged VALUES (?, ?, ?, ?, ?, ?, ?, 0)"
        while batch := list(islice(parameters, _BATCH)):
            with self._database.lock:
                self._database.change("BEGIN")
                self._database.change_many(insert, batch)
                self._database.change("COMMIT")
        self._database.script("CREATE INDEX temp.staged_key ON staged (key);")

    def drop_duplicates(self, file: str) -> Iterator[Problem]:
        """Drop the rows whose key an earlier row has; yield a problem for each, by line."""
        later = """
            SELECT number, line, key, first FROM (
                SELECT number, line, key, bad, min(line) OVER (PARTITION BY key) AS first,
                       row_number() OVER (PARTITION BY key ORDER BY number) AS place
                FROM temp.staged WHERE bad IS NULL)
            WHERE place > 1 ORDER BY number"""
        self._database.script(f"CREATE TEMP TABLE later AS {later};")
        for _, line, key, first in self._database.each("SELECT * FROM temp.later ORDER BY number"):
            yield Problem(f"{key!r} stands in line {first} already; this row is left out", file, line)
        self._database.script(
            "DELETE FROM temp.staged WHERE number IN (SELECT number FROM temp.later); DROP TABLE temp.later;"
            # A bad row does not stand against a good one of its key, and needs a key to be recorded.
            "DELETE FROM temp.staged WHERE bad IS NOT NULL AND key != '' AND EXISTS"
            " (SELECT 1 FROM temp.staged o WHERE o.key = staged.key AND o.number != staged.number"
            " AND (o.bad IS NULL OR o.number < staged.number));"
            "UPDATE temp.staged SET key = 'row ' || number WHERE bad IS NOT NULL AND key = '';"
        )

    def mark_bad(self, rows: Iterable[tuple[int, str]]) -> None:
        """Note what is wrong with staged rows, by number: they cannot be sent."""
        self._database.change("BEGIN")
        self._database.change_many(
            "UPDATE temp.staged SET bad = ?2 WHERE number = ?1", ((number, words) for number, words in rows)
        )
        self._database.change("COMMIT")

    def recognise(self) -> None:
        """Note which staged rows are suppressed, and which were sent to somebody forgotten since."""
        self._database.change(
            "UPDATE temp.staged SET key = hashed(key) WHERE EXISTS"
            " (SELECT 1 FROM messages WHERE campaign = ?1 AND key LIKE '#%')"
            " AND hashed(key) IN (SELECT key FROM messages WHERE campaign = ?1 AND key LIKE '#%')",
            (self._campaign,),
        )
        if self._database.row("SELECT 1 FROM suppressions LIMIT 1") is None:
            return
        self._database.change(
            "UPDATE temp.staged SET suppressed = 1 WHERE bad IS NULL AND ("
            " fold(email) IN (SELECT pattern FROM suppressions)"
            " OR domain_of(email) IN (SELECT pattern FROM suppressions)"
            " OR hashed(email) IN (SELECT pattern FROM suppressions))"
        )

    def plan(self) -> Plan:
        """Count what `apply` will do."""
        counts = dict[str, int]()
        new = changed = returned = 0
        for becomes, was, differs, count in self._database.rows(
            f"SELECT {_BECOMES} AS becomes, m.status, {_CHANGED}, count(*) {_JOINED} GROUP BY 1, 2, 3",
            self._parameters,
        ):
            number = count
            counts[str(becomes)] = counts.get(str(becomes), 0) + number
            if becomes in (Status.PENDING, Status.DEFERRED):
                new += number if was is None else 0
                returned += number if was == Status.WITHDRAWN else 0
                changed += number if differs and was not in (None, Status.WITHDRAWN) else 0
        withdrawn = self._database.row(
            f"SELECT count(*) FROM messages m WHERE {_LEAVES}",
            self._parameters,
        )
        ends = self._database.row(
            f"SELECT (SELECT s.email {_SENDABLE} ORDER BY s.number LIMIT 1),"
            f" (SELECT s.email {_SENDABLE} ORDER BY s.number DESC LIMIT 1)",
            self._parameters,
        )
        return Plan(
            to_send=counts.get(Status.PENDING, 0) + counts.get(Status.DEFERRED, 0),
            new=new,
            changed=changed,
            returned=returned,
            deferred=counts.get(Status.DEFERRED, 0),
            withdrawn=withdrawn[0] if withdrawn else 0,
            accepted=counts.get(Status.ACCEPTED, 0),
            refused=counts.get(Status.REFUSED, 0),
            in_doubt=counts.get(Status.IN_DOUBT, 0),
            suppressed=counts.get(Status.SUPPRESSED, 0),
            invalid=counts.get(Status.INVALID, 0),
            first=str(ends[0] or "") if ends else "",
            last=str(ends[1] or "") if ends else "",
        )

    def to_send(self) -> Iterator[Recipient]:
        """Iterate over the rows that would be sent, in the list's order."""
        statement = f"SELECT s.number, s.line, s.key, s.email, s.name, s.fields {_SENDABLE} ORDER BY s.number"
        for row in self._database.each(statement, self._parameters):
            yield recipient(self._columns, row)

    def apply(self, now: int) -> None:
        """Write the plan, all of it or nothing."""
        with self._database.transaction():
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
                f"UPDATE messages AS m SET status = 'withdrawn' WHERE {_LEAVES}",
                parameters,
            )
            # A row that is tried again from anew counts its attempts from anew.
            self._database.change(
                f"""
                UPDATE messages AS m SET
                    attempts = CASE WHEN m.status = 'pending' AND becomes IN ('pending', 'suppressed')
                                      OR becomes = 'deferred' THEN attempts ELSE 0 END,
                    due_at = CASE WHEN m.status IN ('pending', 'deferred') AND m.email = s_email
                                  THEN due_at ELSE :now END,
                    status = becomes, number = s_number, line = s_line, email = s_email, name = s_name,
                    fields = s_fields, layout = :layout,
                    reply = CASE WHEN bad IS NOT NULL THEN bad
                                 WHEN becomes = m.status THEN reply ELSE '' END
                FROM (SELECT m.id AS m_id, {_BECOMES} AS becomes, s.number AS s_number, s.line AS s_line,
                             s.email AS s_email, s.name AS s_name, s.fields AS s_fields, s.bad AS bad
                      {_JOINED} WHERE m.id IS NOT NULL AND m.status != 'accepted') AS n
                WHERE m.id = n.m_id AND n.becomes NOT IN ('accepted', 'in_doubt', 'refused')
                  AND (becomes != m.status OR m.fields != s_fields OR m.email != s_email OR m.name != s_name
                       OR m.number != s_number OR m.line != s_line OR m.layout != :layout)
                """,
                parameters,
            )
            self._database.change(
                f"""
                INSERT INTO messages (campaign, key, number, line, email, name, layout, fields, status,
                                      due_at, attempts, reply)
                SELECT :campaign, s.key, s.number, s.line, s.email, s.name, :layout, s.fields, {_BECOMES},
                       :now, 0, coalesce(s.bad, '')
                {_JOINED} WHERE m.id IS NULL ORDER BY s.number
                """,
                parameters,
            )
        self._database.script("DROP TABLE temp.staged;")

    @property
    def _parameters(self) -> dict[str, object]:
        return {
            "campaign": self._campaign,
            "layout": self._layout,
            "resend_doubt": self._choices.resend_doubt,
            "retry_refused": self._choices.retry_refused,
        }


_LEAVES = """
m.campaign = :campaign AND m.status IN ('pending', 'deferred', 'invalid', 'suppressed')
AND NOT EXISTS (SELECT 1 FROM temp.staged s WHERE s.key = m.key)
"""

_SENDABLE = f"{_JOINED} WHERE {_BECOMES} IN ('pending', 'deferred')"


def recipient(columns: tuple[str, ...], row: Row) -> Recipient:
    """Make a Recipient from (number, line, key, email, name, fields)."""
    number, line, key, email, name, fields = row
    cells: Mapping[str, str] = dict(zip(columns, json.loads(str(fields)), strict=True))
    return Recipient(number, line, str(key), str(email), str(name), cells)
