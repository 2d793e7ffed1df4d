"""Reads the list into temporary tables beside the ledger.

    rows → stage → drop_duplicates → recognise → (enrolment plans and applies what is staged)

Rows are sent to the server by COPY, 2,000 at a time, with the forms that are compared (folded address,
domain, hashes), which are computed here. Duplicates go into `later`. The ledger itself is not changed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from itertools import islice

from campaign.errors import UserError
from campaign.ledger.patterns import addresses_in, forms, hashed
from campaign.ledger.planning import bad_cells, bad_reasons, content_hash, encoded
from campaign.ledger.postgres.database import Database
from campaign.model import BadRow, Double, Recipient

_BATCH = 2000
# Octets. PostgreSQL indexes at most 2,704 octets of a row (postgresql.org, "B-Tree Indexes").
_LONGEST_KEY = 2500

_TABLES = """
DROP TABLE IF EXISTS pg_temp.staged, pg_temp.later;
CREATE TEMP TABLE staged (
    number bigint PRIMARY KEY, line bigint, key text COLLATE "C", email text, name text, fields text,
    bad text, suppressed bigint, folded text COLLATE "C", domain text COLLATE "C", hash text COLLATE "C",
    key_hash text COLLATE "C", looks bigint
);
CREATE TEMP TABLE later (
    number bigint PRIMARY KEY, line bigint, key text, email text, first bigint, differs boolean
);
"""

# What is set in the staged row of a person who was forgotten.
_UNNAMED = "suppressed = 2, email = '', name = '', fields = '[]', folded = '', domain = '', hash = ''"
_LISTED = "IN (SELECT pattern FROM suppressions WHERE state = 'released' OR campaign = %(campaign)s)"
_HASHED_KEY = "key >= '#' AND key < '$'"  # the key of a forgotten person's row


class Staging:
    """The temporary tables of one enrolment."""

    def __init__(self, database: Database, campaign_id: int) -> None:
        self._database = database
        self._campaign_id = campaign_id
        self._any_bad = False
        self._columns: tuple[str, ...] = ()
        self._shown: tuple[str, ...] = ()
        self._secret = database.secret()
        self._connected = database.connected
        database.change(_TABLES)

    def stage(
        self, columns: tuple[str, ...], rows: Iterable[Recipient | BadRow], shown: Collection[str]
    ) -> None:
        """Read the rows of the list, which have these `columns`."""
        self._columns = columns
        self._shown = tuple(column for column in columns if column in shown)
        rows = iter(rows)
        while batch := list(islice(rows, _BATCH)):
            self._database.copy(
                "COPY staged FROM STDIN",
                (self._good(row) if isinstance(row, Recipient) else self._bad(row) for row in batch),
            )
            self._any_bad = self._any_bad or any(isinstance(row, BadRow) for row in batch)
        self._database.change("CREATE INDEX ON staged (key, number); ANALYZE staged")

    def refuse_lost(self) -> None:
        """Raise UserError if the connection broke, because the temporary tables are lost then."""
        if self._connected != self._database.connected:
            what = "the connection to the ledger's server broke while the list was prepared; nothing was sent"
            raise UserError(self._database.problem(f"{what}: try again"))

    def _good(self, row: Recipient) -> tuple[object, ...]:
        if len(row.key) > _LONGEST_KEY // 4 and len(row.key.encode()) > _LONGEST_KEY:
            raise UserError(f"line {row.line}: the key is too long: PostgreSQL takes {_LONGEST_KEY:,} octets")
        one = forms(self._secret, row.email)
        key_hash = one.hash if row.key == one.folded else hashed(self._secret, row.key)
        return (
            row.number, row.line, row.key, row.email, row.name, encoded(list(row.row.values())), None, 0,
            one.folded, one.domain, one.hash, key_hash, content_hash(row, self._shown),
        )  # fmt: skip

    def _bad(self, row: BadRow) -> tuple[object, ...]:
        key = row.key[: _LONGEST_KEY // 4]
        cells, key_hash = bad_cells(row, self._columns), hashed(self._secret, key)
        return (
            row.number, row.line, key, "", "", cells, bad_reasons(row), 0, "", "", "", key_hash, 0,
        )  # fmt: skip

    def drop_duplicates(self) -> Iterator[Double]:
        """Drop each row whose key an earlier row has, and return the dropped ones in list order.

        All are dropped when this returns; the iterator then reads them from the server.
        """
        self._database.change(
            "INSERT INTO later SELECT s.number, s.line, s.key, s.email, f.line, s.looks != f.looks"
            " FROM (SELECT key, min(number) AS number FROM staged WHERE bad IS NULL"
            "       GROUP BY key HAVING count(*) > 1) AS g"
            " JOIN staged f ON f.number = g.number"
            " JOIN staged s ON s.key = g.key AND s.number > g.number AND s.bad IS NULL"
        )
        self._database.change("DELETE FROM staged WHERE number IN (SELECT number FROM later)")
        if self._any_bad:
            self._drop_needless_bad()
        return self._doubles()

    def _doubles(self) -> Iterator[Double]:
        for number, line, key, email, first, differs in self._database.each(
            "SELECT number, line, key, email, first, differs FROM later ORDER BY number"
        ):
            yield Double(number, line, str(key), str(email), first, differs)

    def _drop_needless_bad(self) -> None:
        """Drop bad rows whose key a good or an earlier bad row has; give a key to those without one."""
        self._database.change(
            "DELETE FROM staged s WHERE bad IS NOT NULL AND key != '' AND EXISTS"
            " (SELECT 1 FROM staged o WHERE o.key = s.key AND o.number != s.number"
            " AND (o.bad IS NULL OR o.number < s.number))"
        )
        # No other key begins with a blank, because keys of the list are trimmed.
        self._database.change("UPDATE staged SET key = ' row ' || number WHERE bad IS NOT NULL AND key = ''")

    def mark_bad(self, rows: Iterable[tuple[int, str]]) -> None:
        """Record why staged rows cannot be sent; each is (number in the list, reason)."""
        self._database.change_many(
            "UPDATE staged SET bad = %s WHERE number = %s", ((words, number) for number, words in rows)
        )

    def recognise(self) -> None:
        """Mark the staged rows of people who are suppressed or were forgotten.

        What was staged about a forgotten person is erased, so that it is not stored again. May be called
        again, to include later changes.
        """
        campaign = {"campaign": self._campaign_id}
        change = self._database.change
        change(
            "UPDATE staged s SET key = s.key_hash FROM messages m WHERE m.campaign = %(campaign)s"
            f" AND m.key = s.key_hash AND m.{_HASHED_KEY.replace('AND ', 'AND m.')}",
            campaign,
        )
        change(f"UPDATE staged SET suppressed = 1 WHERE suppressed = 0 AND folded {_LISTED}", campaign)
        change(f"UPDATE staged SET suppressed = 1 WHERE suppressed = 0 AND domain {_LISTED}", campaign)
        if self._database.row("SELECT 1 FROM suppressions WHERE pattern >= '#' AND pattern < '$' LIMIT 1"):
            change(
                f"UPDATE staged SET {_UNNAMED} WHERE email != '' AND hash {_LISTED}"
                f" OR bad IS NOT NULL AND key_hash {_LISTED}",
                campaign,
            )
            self._unname_bad()

    def _unname_bad(self) -> None:
        """Clear the cells and problems of bad rows that contain a forgotten person's address."""
        named = []
        for number, fields, said in self._database.rows(
            "SELECT number, fields, bad FROM staged WHERE bad IS NOT NULL"
        ):
            cells = [cell.strip() for cell in json.loads(str(fields))]
            words = {*addresses_in(f"{fields} {said}"), *filter(None, cells)}
            hashes = [hashed(self._secret, word) for word in words]
            if self._database.row("SELECT 1 FROM suppressions WHERE pattern = ANY(%s) LIMIT 1", (hashes,)):
                named.append((number,))
        self._database.change_many(
            "UPDATE staged SET suppressed = 2, fields = '[]', bad = '' WHERE number = %s", named
        )

    def drop(self) -> None:
        """Drop the temporary tables."""
        self._database.change("DROP TABLE pg_temp.staged, pg_temp.later")
