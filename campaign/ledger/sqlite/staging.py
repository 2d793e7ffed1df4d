"""Reads the list into temporary tables beside the ledger.

    rows → stage → drop_duplicates → recognise → (enrolment plans and applies what is staged)

In a long list that was sent before, most rows are accepted already, and are only counted: `met` holds
their ids in `messages`. All other rows go into `staged`, and duplicates into `later`. The ledger itself
is not changed. Memory use does not grow with the list: SQLite keeps temporary tables in a file.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from itertools import islice

from campaign.ledger.patterns import addresses_in, forms, forms_of_version_1
from campaign.ledger.planning import bad_cells, bad_reasons, content_hash, encoded
from campaign.ledger.sqlite.database import Database
from campaign.ledger.sqlite.upgrade import REFOLDED_AT
from campaign.model import BadRow, Double, Recipient

_BATCH = 2000

_TABLES = """
DROP TABLE IF EXISTS temp.staged;
DROP TABLE IF EXISTS temp.older;
DROP TABLE IF EXISTS temp.met;
DROP TABLE IF EXISTS temp.later;
CREATE TEMP TABLE staged (
    number INTEGER PRIMARY KEY, line INTEGER, key TEXT, email TEXT, name TEXT, fields TEXT, bad TEXT,
    suppressed INTEGER DEFAULT 0, folded TEXT, domain TEXT, hash TEXT, looks INTEGER
);
CREATE TEMP TABLE older (number INTEGER, pattern TEXT);
CREATE TEMP TABLE met (row_id INTEGER PRIMARY KEY, line INTEGER, looks INTEGER);
CREATE TEMP TABLE later (
    number INTEGER PRIMARY KEY, line INTEGER, key TEXT, email TEXT, first INTEGER, differs INTEGER
);
"""

# What is set in the staged row of a person who was forgotten.
_UNNAMED = "suppressed = 2, email = '', name = '', fields = '[]', folded = '', domain = '', hash = ''"
_EFFECTIVE = "(state = 'released' OR campaign = ?1)"


class Staging:
    """The temporary tables of one enrolment. `met` counts the rows that were accepted earlier."""

    def __init__(self, database: Database, campaign_id: int) -> None:
        self._database = database
        self._campaign_id = campaign_id
        self.met = 0
        self._any_bad = False
        self._columns: tuple[str, ...] = ()
        self._shown: tuple[str, ...] = ()
        self._secret = database.secret()
        self._refolded_at = database.setting(REFOLDED_AT)
        database.script(_TABLES)
        self._accepted = _Accepted(database, campaign_id)

    def stage(
        self, columns: tuple[str, ...], rows: Iterable[Recipient | BadRow], shown: Collection[str]
    ) -> None:
        """Read the rows of the list, which have these `columns`, in transactions of 2,000 rows."""
        self._columns = columns
        self._shown = tuple(column for column in columns if column in shown)
        rows = iter(rows)
        while batch := list(islice(rows, _BATCH)):
            with self._database.temporary_transaction():
                met = self._stage(batch)
            self.met += met
            self._any_bad = self._any_bad or any(isinstance(row, BadRow) for row in batch)
        self._accepted.close()
        self._database.script("CREATE INDEX temp.staged_key ON staged (key, number, bad);")

    def _stage(self, batch: list[Recipient | BadRow]) -> int:
        """Store a batch; return how many of its rows were accepted earlier."""
        accepted, met = self._meet(batch)
        self._database.change_many(
            "INSERT INTO temp.staged VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?)",
            (
                self._good(row) if isinstance(row, Recipient) else self._bad(row)
                for place, row in enumerate(batch)
                if place not in accepted
            ),
        )
        if self._refolded_at is not None:
            self._database.change_many(
                "INSERT INTO temp.older VALUES (?, ?)",
                (
                    (row.number, pattern)
                    for row in batch
                    if isinstance(row, Recipient) and not row.email.isascii()
                    for pattern in forms_of_version_1(self._secret, row.email)
                ),
            )
        return met

    def _good(self, row: Recipient) -> tuple[object, ...]:
        one = forms(self._secret, row.email)
        cells = encoded(list(row.row.values()))
        return (
            row.number, row.line, row.key, row.email, row.name, cells, None, one.folded, one.domain, one.hash,
            content_hash(row, self._shown),
        )  # fmt: skip

    def _bad(self, row: BadRow) -> tuple[object, ...]:
        return (
            row.number,
            row.line,
            row.key,
            "",
            "",
            bad_cells(row, self._columns),
            bad_reasons(row),
            "",
            "",
            "",
            0,
        )

    def _meet(self, batch: list[Recipient | BadRow]) -> tuple[set[int], int]:
        """Find the rows of a batch that were accepted earlier.

        Returns their places in the batch, and how many of them no earlier row of the list had found.
        """
        found = self._accepted.find([row.key if isinstance(row, Recipient) else "" for row in batch])
        met = [
            (row_id, row.line, content_hash(row, self._shown))
            for row, row_id in ((batch[place], row_id) for place, row_id in found)
            if isinstance(row, Recipient)
        ]
        new = self._database.change_many("INSERT OR IGNORE INTO temp.met VALUES (?, ?, ?)", met)
        if new < len(met):
            self._database.change_many(
                "INSERT INTO temp.later SELECT ?1, ?2, ?3, ?4, line, looks != ?5 FROM temp.met"
                " WHERE row_id = ?6 AND line != ?2",
                (
                    (row.number, row.line, row.key, row.email, content_hash(row, self._shown), row_id)
                    for row, row_id in ((batch[place], row_id) for place, row_id in found)
                    if isinstance(row, Recipient)
                ),
            )
        return {place for place, _ in found}, new

    def drop_duplicates(self) -> Iterator[Double]:
        """Drop each row whose key an earlier row has, and return the dropped ones in list order.

        All are dropped when this returns; the iterator then reads them from disk.
        """
        self._database.script(
            "INSERT INTO temp.later SELECT s.number, s.line, s.key, s.email, f.line,"
            " s.looks != f.looks"
            " FROM (SELECT key, min(number) AS number FROM temp.staged WHERE bad IS NULL"
            "       GROUP BY key HAVING count(*) > 1) AS g"
            " CROSS JOIN temp.staged f ON f.number = g.number"
            " CROSS JOIN temp.staged s ON s.key = g.key AND s.number > g.number AND s.bad IS NULL;"
        )
        self._database.change("DELETE FROM temp.staged WHERE number IN (SELECT number FROM temp.later)")
        if self._any_bad:
            self._drop_needless_bad()
        return self._doubles()

    def _doubles(self) -> Iterator[Double]:
        for number, line, key, email, first, differs in self._database.each(
            "SELECT number, line, key, email, first, differs FROM temp.later ORDER BY number"
        ):
            yield Double(number, line, str(key), str(email), first, bool(differs))

    def _drop_needless_bad(self) -> None:
        """Drop bad rows whose key a good or an earlier bad row has; give a key to those without one."""
        self._database.change(
            "DELETE FROM temp.staged WHERE bad IS NOT NULL AND key != '' AND EXISTS"
            " (SELECT 1 FROM temp.staged o WHERE o.key = staged.key AND o.number != staged.number"
            " AND (o.bad IS NULL OR o.number < staged.number))"
        )
        self._database.change(
            "DELETE FROM temp.staged WHERE bad IS NOT NULL AND EXISTS (SELECT 1 FROM messages m"
            " JOIN temp.met ON met.row_id = m.id WHERE m.campaign = ? AND m.key = staged.key)",
            (self._campaign_id,),
        )
        # No other key begins with a blank, because keys of the list are trimmed.
        self._database.change(
            "UPDATE temp.staged SET key = ' row ' || number WHERE bad IS NOT NULL AND key = ''"
        )

    def mark_bad(self, rows: Iterable[tuple[int, str]]) -> None:
        """Record why staged rows cannot be sent; each is (number in the list, reason)."""
        with self._database.temporary_transaction():
            self._database.change_many("UPDATE temp.staged SET bad = ?2 WHERE number = ?1", rows)

    def recognise(self) -> None:
        """Mark the staged rows of people who are suppressed or were forgotten.

        What was staged about a forgotten person is erased, so that it is not stored again. May be called
        again, to include later changes.
        """
        change = self._database.change
        if self._has("messages WHERE campaign = ?1 AND key GLOB '#*'", self._campaign_id):
            change(
                "UPDATE temp.staged SET key = hashed(key) WHERE hashed(key) IN"
                " (SELECT key FROM messages WHERE campaign = ? AND key GLOB '#*')",
                (self._campaign_id,),
            )
        listed = f"IN (SELECT pattern FROM suppressions WHERE {_EFFECTIVE})"
        campaign = (self._campaign_id,)
        if self._has("suppressions"):
            change(f"UPDATE temp.staged SET suppressed = 1 WHERE folded {listed}", campaign)
        if self._has("suppressions WHERE pattern GLOB '@*'"):
            change(f"UPDATE temp.staged SET suppressed = 1 WHERE domain {listed}", campaign)
        if self._has("suppressions WHERE pattern GLOB '#*'"):
            change(
                f"UPDATE temp.staged SET {_UNNAMED} WHERE email != '' AND hash {listed}"
                f" OR bad IS NOT NULL AND hashed(key) {listed}",
                campaign,
            )
            self._unname_bad()
        if self._refolded_at is not None:
            self._recognise_older()

    def _recognise_older(self) -> None:
        """Mark rows that are covered by patterns written when addresses were folded as in schema 1."""
        covered = (
            "SELECT o.number FROM temp.older o JOIN suppressions s ON s.pattern = o.pattern"
            " WHERE s.added_at <= ? AND s.state = 'released'"
        )
        at = (self._refolded_at,)
        self._database.change(f"UPDATE temp.staged SET suppressed = 1 WHERE number IN ({covered})", at)
        self._database.change(
            f"UPDATE temp.staged SET {_UNNAMED} WHERE number IN ({covered} AND s.pattern GLOB '#*')", at
        )

    def _unname_bad(self) -> None:
        """Clear the cells and problems of bad rows that contain a forgotten person's address."""
        named = []
        for number, fields, said in self._database.rows(
            "SELECT number, fields, bad FROM temp.staged WHERE bad IS NOT NULL"
        ):
            cells = [cell.strip() for cell in json.loads(str(fields))]
            words = encoded([*addresses_in(f"{fields} {said}"), *filter(None, cells)])
            if self._has("suppressions WHERE pattern IN (SELECT hashed(value) FROM json_each(?))", words):
                named.append((number,))
        self._database.change_many(
            "UPDATE temp.staged SET suppressed = 2, fields = '[]', bad = '' WHERE number = ?", named
        )

    def drop(self) -> None:
        """Drop the temporary tables."""
        self._database.script(
            "DROP TABLE temp.staged; DROP TABLE temp.met; DROP TABLE temp.later; DROP TABLE temp.older;"
        )

    def _has(self, rows: str, *parameters: object) -> bool:
        return self._database.row(f"SELECT 1 FROM {rows} LIMIT 1", parameters) is not None


class _Accepted:
    """Finds the accepted rows of a campaign by key.

    Most lists keep their order. So the ledger is read in parallel to the list, in the order of enrolment,
    through a window of keys; that costs a fifth of an index look-up per key. Keys that are not in the
    window are looked up in the index.
    """

    # After this many batches outside the window, the list is assumed to have another order.
    PATIENCE = 20
    # CROSS JOIN fixes the order of the loops: the keys outside, the ledger's index inside.
    ASKED = """
        SELECT asked.key, m.id FROM json_each(?) AS asked CROSS JOIN messages m
        ON m.campaign = ? AND m.key = asked.value AND m.status = 'accepted'
    """

    def __init__(self, database: Database, campaign_id: int) -> None:
        self._database = database
        self._campaign_id = campaign_id
        self._near: dict[str, int] = {}
        self._patience = self.PATIENCE
        first, last, self._count = database.row(
            "SELECT coalesce(min(id), 0), coalesce(max(id), 0), count(*) FROM messages WHERE campaign = ?",
            (campaign_id,),
        ) or (0, 0, 0)
        # If there are many rows of other campaigns in between, reading in parallel would be slower.
        self._walk = self._rows(first) if last - first < 4 * self._count else iter(())

    def find(self, keys: list[str]) -> list[tuple[int, int]]:
        """Return (place in `keys`, row id) of those that were accepted, by place."""
        if not self._count:
            return []
        near = self._near
        near.update(islice(self._walk, max(0, 2 * len(keys) - len(near))))
        found = [(place, near.pop(key)) for place, key in enumerate(keys) if key in near]
        if len(found) == len(keys):
            return found
        met = {place for place, _ in found}
        far = self._look_up(keys, [place for place in range(len(keys)) if place not in met])
        if 2 * len(far) > len(keys) and self._patience:
            self._patience -= 1
            near.clear()
            self._walk = self._rows(far[-1][1]) if self._patience else iter(())
        return sorted(found + far)

    def _look_up(self, keys: list[str], places: list[int]) -> list[tuple[int, int]]:
        asked = encoded([keys[place] for place in places])
        found = self._database.rows(self.ASKED, (asked, self._campaign_id))
        return [(places[place], row_id) for place, row_id in found]

    def close(self) -> None:
        """Release the read cursor."""
        self._walk = iter(())
        self._near.clear()

    def _rows(self, first: int) -> Iterator[tuple[str, int]]:
        return self._database.each(
            "SELECT key, id FROM messages NOT INDEXED"
            " WHERE campaign = ? AND id >= ? AND status = 'accepted' ORDER BY id",
            (self._campaign_id, first),
        )
