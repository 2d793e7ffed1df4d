"""The list, read into temporary tables beside the ledger: the rows that a run may have to do with.

    rows → stage → duplicates → recognise → (enrolment plans and applies what is staged)

Of a long list most rows were accepted earlier and are only counted: `met` remembers which, by their
row in `messages`, and the rest goes into `staged`. Nothing is written to the ledger itself, and
memory stays flat for any list: SQLite keeps temporary tables in a file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import islice

from campaign.address import fold
from campaign.errors import Problem
from campaign.ledger.sqlite.database import Database
from campaign.model import BadRow, Recipient

_BATCH = 2000

_TABLES = """
DROP TABLE IF EXISTS temp.staged;
DROP TABLE IF EXISTS temp.met;
DROP TABLE IF EXISTS temp.later;
CREATE TEMP TABLE staged (
    number INTEGER PRIMARY KEY, line INTEGER, key TEXT, email TEXT, name TEXT, fields TEXT, bad TEXT,
    suppressed INTEGER DEFAULT 0
);
CREATE TEMP TABLE met (id INTEGER PRIMARY KEY, line INTEGER);
CREATE TEMP TABLE later (number INTEGER PRIMARY KEY, line INTEGER, key TEXT, email TEXT, first INTEGER);
"""

_ADDRESS = re.compile(r"[^\s,;:<>()\[\]\"']+@[^\s,;:<>()\[\]\"']+")
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Staging:
    """The temporary tables of one reading. `met` is how many rows were accepted earlier."""

    def __init__(self, database: Database, campaign: int) -> None:
        self._database = database
        self._campaign = campaign
        self.met = 0
        self._any_bad = False
        self._columns: tuple[str, ...] = ()
        database.script(_TABLES)
        self._accepted = _Accepted(database, campaign)

    def stage(self, columns: tuple[str, ...], rows: Iterable[Recipient | BadRow]) -> None:
        """Read the list's rows; they are numbered as they stand in it."""
        self._columns = columns
        rows = iter(rows)
        while batch := list(islice(rows, _BATCH)):
            with self._database.lock:
                self._database.change("BEGIN")
                try:
                    self._stage(batch)
                finally:
                    self._database.change("COMMIT")
        self._accepted.close()
        self._database.script("CREATE INDEX temp.staged_key ON staged (key, number, bad);")

    def _stage(self, batch: list[Recipient | BadRow]) -> None:
        accepted = self._meet(batch)
        self._any_bad = self._any_bad or any(isinstance(row, BadRow) for row in batch)
        self._database.change_many(
            "INSERT INTO temp.staged VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
            (
                (row.number, row.line, row.key, row.email, row.name, _encode(list(row.row.values())), None)
                if isinstance(row, Recipient)
                else (row.number, row.line, row.key, "", "", self._cells(row), _words(row))
                for place, row in enumerate(batch)
                if place not in accepted
            ),
        )

    def _cells(self, row: BadRow) -> str:
        """Return the cells of a bad row, which may lack some at its end."""
        return _encode([row.row.get(column, "") for column in self._columns] if row.row else [])

    def _meet(self, batch: list[Recipient | BadRow]) -> set[int]:
        """Note the rows of a batch that were accepted, and return their places in it."""
        found = self._accepted.find([row.key if isinstance(row, Recipient) else "" for row in batch])
        met = [(number, batch[place].line) for place, number in found]
        new = self._database.change_many("INSERT OR IGNORE INTO temp.met VALUES (?, ?)", met)
        self.met += new
        if new < len(met):
            self._database.change_many(
                "INSERT INTO temp.later"
                " SELECT ?1, ?2, ?3, ?4, line FROM temp.met WHERE id = ?5 AND line != ?2",
                (
                    (row.number, row.line, row.key, row.email if isinstance(row, Recipient) else "", number)
                    for row, number in ((batch[place], number) for place, number in found)
                ),
            )
        return {place for place, _ in found}

    def drop_duplicates(self, file: str) -> Iterator[Problem]:
        """Drop the rows whose key an earlier row has; yield a problem for each, by line."""
        self._database.script(
            "INSERT INTO temp.later SELECT s.number, s.line, s.key, s.email, f.line"
            " FROM (SELECT key, min(number) AS number FROM temp.staged WHERE bad IS NULL"
            "       GROUP BY key HAVING count(*) > 1) AS g"
            " CROSS JOIN temp.staged f ON f.number = g.number"
            " CROSS JOIN temp.staged s ON s.key = g.key AND s.number > g.number AND s.bad IS NULL;"
        )
        for line, key, email, first in self._database.each(
            "SELECT line, key, email, first FROM temp.later ORDER BY number"
        ):
            whose = "" if fold(str(email)) == key else f", {email},"
            yield Problem(f"{key!r} stands in line {first} already; this row{whose} is left out", file, line)
        self._database.change("DELETE FROM temp.staged WHERE number IN (SELECT number FROM temp.later)")
        if self._any_bad:
            self._drop_needless_bad()

    def _drop_needless_bad(self) -> None:
        self._database.change(
            # A bad row does not stand against a good one of its key, and needs a key to be recorded.
            "DELETE FROM temp.staged WHERE bad IS NOT NULL AND key != '' AND EXISTS"
            " (SELECT 1 FROM temp.staged o WHERE o.key = staged.key AND o.number != staged.number"
            " AND (o.bad IS NULL OR o.number < staged.number))"
        )
        self._database.change(
            "DELETE FROM temp.staged WHERE bad IS NOT NULL AND EXISTS (SELECT 1 FROM messages m"
            " JOIN temp.met ON met.id = m.id WHERE m.campaign = ? AND m.key = staged.key)",
            (self._campaign,),
        )
        # No key of a list begins with a blank: they are trimmed.
        self._database.change(
            "UPDATE temp.staged SET key = ' row ' || number WHERE bad IS NOT NULL AND key = ''"
        )

    def mark_bad(self, rows: Iterable[tuple[int, str]]) -> None:
        """Note what is wrong with staged rows, by number: they cannot be sent."""
        with self._database.lock:
            self._database.change("BEGIN")
            try:
                self._database.change_many(
                    "UPDATE temp.staged SET bad = ?2 WHERE number = ?1", ((n, words) for n, words in rows)
                )
            finally:
                self._database.change("COMMIT")

    def recognise(self) -> None:
        """Note which staged rows are suppressed, and which were sent to somebody forgotten since.

        What is staged of people who were forgotten is removed: the ledger does not learn it again.
        May be asked again, for what has happened meanwhile.
        """
        change = self._database.change
        if self._has("messages WHERE campaign = ?1 AND key GLOB '#*'", self._campaign):
            change(
                "UPDATE temp.staged SET key = hashed(key) WHERE hashed(key) IN"
                " (SELECT key FROM messages WHERE campaign = ? AND key GLOB '#*')",
                (self._campaign,),
            )
        listed = "IN (SELECT pattern FROM suppressions)"
        if self._has("suppressions"):
            change(f"UPDATE temp.staged SET suppressed = 1 WHERE fold(email) {listed}")
        if self._has("suppressions WHERE pattern GLOB '@*'"):
            change(f"UPDATE temp.staged SET suppressed = 1 WHERE domain_of(email) {listed}")
        if self._has("suppressions WHERE pattern GLOB '#*'"):
            change(
                "UPDATE temp.staged SET suppressed = 2, email = '', name = '', fields = '[]'"
                f" WHERE email != '' AND hashed(email) {listed} OR bad IS NOT NULL AND hashed(key) {listed}"
            )
            self._unname_bad()

    def _unname_bad(self) -> None:
        """Drop the cells, and what is said, of bad rows in which an address stands that was forgotten."""
        named = []
        for number, fields, said in self._database.rows(
            "SELECT number, fields, bad FROM temp.staged WHERE bad IS NOT NULL"
        ):
            words = _encode([word.strip(".") for word in _ADDRESS.findall(f"{fields} {said}")])
            if self._has("suppressions WHERE pattern IN (SELECT hashed(value) FROM json_each(?))", words):
                named.append((number,))
        self._database.change_many(
            "UPDATE temp.staged SET suppressed = 2, fields = '[]', bad = '' WHERE number = ?", named
        )

    def drop(self) -> None:
        """Forget what was staged."""
        self._database.script("DROP TABLE temp.staged; DROP TABLE temp.met; DROP TABLE temp.later;")

    def _has(self, rows: str, *parameters: object) -> bool:
        return self._database.row(f"SELECT 1 FROM {rows} LIMIT 1", parameters) is not None


class _Accepted:
    """The accepted rows of a campaign, by key.

    Most lists keep their order, so the ledger is walked alongside, in the order in which it was
    enrolled, at a fifth of what asking its index for each key costs; what is not near is asked for.
    """

    # Batches that were not near before the list is taken to be in another order.
    PATIENCE = 20
    # CROSS JOIN keeps the order of the loops: the keys outside, the ledger's index inside.
    ASKED = """
        SELECT asked.key, m.id FROM json_each(?) AS asked CROSS JOIN messages m
        ON m.campaign = ? AND m.key = asked.value AND m.status = 'accepted'
    """

    def __init__(self, database: Database, campaign: int) -> None:
        self._database = database
        self._campaign = campaign
        self._near: dict[str, int] = {}
        self._patience = self.PATIENCE
        first, last, self._count = database.row(
            "SELECT coalesce(min(id), 0), coalesce(max(id), 0), count(*) FROM messages WHERE campaign = ?",
            (campaign,),
        ) or (0, 0, 0)
        # Where other campaigns' rows lie between, a walk would be long.
        self._walk = self._rows(first) if last - first < 4 * self._count else iter(())

    def find(self, keys: list[str]) -> list[tuple[int, int]]:
        """Return (place in `keys`, id) of those that were accepted, by place."""
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
        asked = _encode([keys[place] for place in places])
        found = self._database.rows(self.ASKED, (asked, self._campaign))
        return [(places[place], number) for place, number in found]

    def close(self) -> None:
        """Let go of the ledger's rows."""
        self._walk = iter(())
        self._near.clear()

    def _rows(self, first: int) -> Iterator[tuple[str, int]]:
        return self._database.each(
            "SELECT key, id FROM messages NOT INDEXED"
            " WHERE campaign = ? AND id >= ? AND status = 'accepted' ORDER BY id",
            (self._campaign, first),
        )


def _words(row: BadRow) -> str:
    return "; ".join(problem.message for problem in row.problems)
