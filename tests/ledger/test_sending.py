"""Claims, intents and results: what is on the disk at which moment, whatever else happens."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from campaign.campaignfile.location import Location
from campaign.errors import LedgerFull
from campaign.ledger import Ledger, Suppression
from campaign.ledger.sqlite.database import Database
from campaign.ledger.sqlite.run import SqliteRun
from campaign.model import SECOND, Status
from tests.ledger.book import (
    NOW,
    SCOPE,
    database,
    enrol,
    intent,
    outcome,
    people,
    result,
    row,
    send,
    sqlite,
    start,
    statuses,
)
from tests.ledger.namespace import run_on_disk

ANNA, BEN, CLEO = "anna@example.com", "ben@example.com", "cleo@example.com"
HOUR = 3600 * SECOND
DAY = 24 * HOUR


@pytest.fixture
def ledger(location: Location) -> Iterator[Ledger]:
    book = Ledger.open(location, "news")
    enrol(book, people(ANNA, BEN, CLEO))
    yield book
    book.close()


class Watched:
    """Records SQLite's statements, and the number of commits."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[str] = []
        database._connection.set_trace_callback(self.told.append)

    @property
    def commits(self) -> int:
        return sum(statement == "COMMIT" for statement in self.told)


@pytest.mark.kinds("sqlite")
def test_an_intent_is_durable_when_record_returns(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    sending = start(ledger)
    sending.claim(NOW, 10)
    watched = Watched(sqlite(ledger), monkeypatch)
    assert sending.record((), (intent(ANNA),)) == {ANNA}
    assert watched.commits == 1
    assert database(ledger).rows("PRAGMA synchronous") == [(2,)]  # FULL
    path = sqlite(ledger).path
    assert path is not None
    other = sqlite3.connect(path)
    assert other.execute(
        "SELECT key, status, run, message_id IS NOT NULL FROM messages LIMIT 1"
    ).fetchone() == (
        ANNA,
        "in_flight",
        1,
        1,
    )
    assert other.execute("SELECT run, message, started_at, addresses FROM attempts").fetchall() == [
        (1, 1, NOW, 1)
    ]
    other.close()


@pytest.mark.kinds("sqlite")
def test_a_result_and_the_next_intent_share_a_commit(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    sending = start(ledger)
    sending.claim(NOW, 10)
    sending.record((), (intent(ANNA),))
    watched = Watched(sqlite(ledger), monkeypatch)
    assert sending.record((result(ANNA),), (intent(BEN),)) == {BEN}
    assert watched.commits == 1
    sending.record((result(BEN),), ())
    assert watched.commits == 2
    assert statuses(ledger) == {ANNA: "accepted", BEN: "accepted", CLEO: "pending"}


@pytest.mark.kinds("sqlite")
def test_connections_that_wait_share_a_commit(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    enrol(ledger, people(*(f"user{n}@example.com" for n in range(20))))
    sending = start(ledger)
    sending.claim(NOW, 20)
    watched = Watched(sqlite(ledger), monkeypatch)
    held: list[set[str]] = []
    threads = [
        threading.Thread(
            target=lambda n=n: held.append(sending.record((), (intent(f"user{n}@example.com"),)))
        )
        for n in range(20)
    ]
    assert isinstance(sending, SqliteRun)
    with sqlite(ledger).lock:
        for thread in threads:
            thread.start()
        while len(sending._recorder._queue) < 20:
            pass
    for thread in threads:
        thread.join()
    assert watched.commits == 1
    assert sorted(key for keys in held for key in keys) == sorted(f"user{n}@example.com" for n in range(20))
    assert all(len(keys) == 1 for keys in held)


def test_no_row_is_claimed_twice(ledger: Ledger) -> None:
    sending = start(ledger)
    first = [claim.recipient.key for claim in sending.claim(NOW, 2)]
    assert first == [ANNA, BEN]
    assert [claim.recipient.key for claim in sending.claim(NOW, 2)] == [CLEO]
    assert sending.claim(NOW, 2) == []
    sending.unclaim([BEN])
    assert [claim.recipient.key for claim in sending.claim(NOW, 2)] == [BEN]


def test_a_claim_has_the_row_as_in_the_list(ledger: Ledger) -> None:
    enrol(ledger, [row(1, "Anna@example.com", key=ANNA, name="Anna", city="Bergen")])
    (claim,) = start(ledger).claim(NOW, 10)
    assert claim.recipient == row(1, "Anna@example.com", key=ANNA, name="Anna", city="Bergen")
    assert (claim.attempts, claim.spared, claim.settled, claim.copy) == (0, 0, frozenset(), "")


def test_rows_are_claimed_when_they_are_due(ledger: Ledger) -> None:
    sending = start(ledger)
    sending.claim(NOW, 10)
    for key, delay in ((ANNA, 60), (BEN, 30)):
        sending.record((), (intent(key),))
        sending.record((result(key, Status.DEFERRED, due_at=NOW + delay * SECOND),), ())
    assert sending.next_due(NOW) == NOW + 30 * SECOND
    assert sending.claim(NOW + 29 * SECOND, 10) == []
    assert [c.recipient.key for c in sending.claim(NOW + 60 * SECOND, 10)] == [BEN, ANNA]
    assert sending.next_due(NOW) is None  # Cleo is still held


def test_a_claim_for_a_retry_names_copies_that_are_settled(ledger: Ledger) -> None:
    sending = start(ledger)
    sending.claim(NOW, 1)
    sending.record((), (intent(ANNA, copies=("Boss@example.com",)),))
    copy = outcome("Boss@example.com")
    sending.record((result(ANNA, Status.DEFERRED, copies=(copy,)),), ())
    claim = next(claim for claim in sending.claim(NOW, 10) if claim.key == ANNA)
    assert (claim.attempts, claim.settled) == (1, frozenset({"boss@example.com"}))


@pytest.mark.parametrize(
    "status", ["accepted", "refused", "suppressed", "withdrawn", "in_doubt", "in_flight"]
)
def test_an_intent_holds_only_for_a_waiting_row(ledger: Ledger, status: str) -> None:
    sending = start(ledger)
    sending.claim(NOW, 10)
    database(ledger).change("UPDATE messages SET status = ? WHERE key = ?", (status, ANNA))
    assert not sending.is_due(ANNA)
    assert sending.record((), (intent(ANNA), intent(BEN))) == {BEN}
    assert database(ledger).rows("SELECT count(*) FROM attempts") == [(1,)]


def test_a_refusal_before_the_content_needs_no_intent(ledger: Ledger) -> None:
    sending = start(ledger)
    sending.claim(NOW, 1)
    sending.record((result(ANNA, Status.REFUSED, reply="550 5.1.1 no"),), ())
    assert statuses(ledger)[ANNA] == "refused"
    assert database(ledger).rows("SELECT count(*) FROM attempts") == [(0,)]
    assert database(ledger).rows("SELECT address, kind, text FROM events") == [
        (ANNA, "refused", "550 5.1.1 no")
    ]


@pytest.mark.parametrize(
    ("status", "reply", "told"),
    [(Status.PENDING, "", False), (Status.PENDING, "421 bye", True), (Status.REFUSED, "", True)],
)
def test_an_address_without_a_reply_has_no_event(
    ledger: Ledger, status: Status, reply: str, told: bool
) -> None:
    sending = start(ledger)
    sending.claim(NOW, 1)
    sending.record((result(ANNA, status, reply=reply),), ())
    assert statuses(ledger)[ANNA] == status
    events = [(ANNA, str(status), reply)] if told else []
    assert database(ledger).rows("SELECT address, kind, text FROM events") == events


@pytest.mark.parametrize("decided", ["refused", "suppressed", "withdrawn"])
@pytest.mark.parametrize(
    ("answered", "becomes"),
    [(Status.ACCEPTED, "accepted"), (Status.REFUSED, None)],
    ids=["accepted", "refused"],
)
def test_a_decision_made_in_flight_stands_unless_the_server_accepts(
    ledger: Ledger, decided: str, answered: Status, becomes: str | None
) -> None:
    sending = start(ledger)
    sending.claim(NOW, 1)
    sending.record((), (intent(ANNA),))
    database(ledger).change("UPDATE messages SET status = ? WHERE key = ?", (decided, ANNA))
    sending.record((result(ANNA, answered),), ())
    assert statuses(ledger)[ANNA] == (becomes or decided)


@pytest.mark.parametrize(
    ("charged", "spared", "counts"), [(True, False, (1, 0)), (False, True, (0, 1)), (False, False, (0, 0))]
)
def test_an_attempt_is_charged_or_spared_as_its_result_says(
    ledger: Ledger, charged: bool, spared: bool, counts: tuple[int, int]
) -> None:
    sending = start(ledger)
    sending.claim(NOW, 1)
    sending.record((), (intent(ANNA),))
    (own,) = result(ANNA, Status.DEFERRED).outcomes
    put_off = replace(result(ANNA, Status.DEFERRED), outcomes=(replace(own, charged=charged),), spared=spared)
    sending.record((put_off,), ())
    claim = next(claim for claim in sending.claim(NOW, 10) if claim.key == ANNA)
    assert (claim.attempts, claim.spared) == counts


# A suppression holds from the next message on, however it was added.


def test_an_address_suppressed_meanwhile_is_not_sent_to(ledger: Ledger, location: Location) -> None:
    sending = start(ledger)
    sending.claim(NOW, 10)
    other = Ledger.open(location, "")
    both = [ANNA, BEN]
    assert other.suppressions.add(Suppression(address, "asked", NOW) for address in both) == (both, 2)
    other.close()
    assert sending.record((), (intent(ANNA),)) == set()
    assert not sending.is_due(BEN)
    assert sending.record((), (intent(BEN),)) == set()
    assert sending.record((), (intent(CLEO),)) == {CLEO}


def test_an_address_suppressed_in_flight_is_not_tried_again(ledger: Ledger) -> None:
    sending = start(ledger)
    sending.claim(NOW, 10)
    sending.record((), (intent(ANNA),))
    assert ledger.suppressions.add([Suppression("@example.com", "asked", NOW)]) == (["@example.com"], 2)
    sending.record((result(ANNA, Status.DEFERRED),), ())
    for claim in sending.claim(NOW, 10):
        assert not sending.is_due(claim.recipient.key)
    assert statuses(ledger) == dict.fromkeys((ANNA, BEN, CLEO), "suppressed")


def test_an_intent_does_not_hold_for_a_suppressed_address(ledger: Ledger) -> None:
    """Even if everything else has gone wrong."""
    sending = start(ledger)
    sending.claim(NOW, 10)
    database(ledger).change(
        "INSERT INTO suppressions (pattern, campaign, state, reason, added_at)"
        " VALUES (?, 0, 'released', '', 0)",
        (ANNA,),
    )
    assert sending.record((), (intent(ANNA), intent(BEN))) == {BEN}
    assert statuses(ledger)[ANNA] == "suppressed"
    assert sending.claim(NOW, 10) == []


def test_another_row_with_a_dead_address_is_not_sent(location: Location) -> None:
    ledger = Ledger.open(location, "news")
    enrol(ledger, [row(1, ANNA, key="1"), row(2, "ANNA@example.com", key="2")])
    sending = start(ledger)
    sending.claim(NOW, 10)
    sending.record((result("1", Status.REFUSED, address=ANNA, suppress=True),), ())
    assert not sending.is_due("2")
    assert statuses(ledger) == {"1": "refused", "2": "suppressed"}
    ledger.close()


@pytest.mark.parametrize("suppress", [True, False])
def test_dead_addresses_are_suppressed_unless_switched_off(ledger: Ledger, suppress: bool) -> None:
    sending = ledger.start(SCOPE, NOW, suppress=suppress)
    sending.claim(NOW, 10)
    sending.record((result(ANNA, Status.REFUSED, reply="550 5.1.1 no", suppress=True),), ())
    found = [(entry.pattern, entry.reason) for entry in ledger.suppressions]
    assert found == ([(ANNA, "refused: 550 5.1.1 no")] if suppress else [])
    assert statuses(ledger)[ANNA] == "refused"


def test_a_suppression_by_a_person_stays_when_the_address_turns_out_dead(ledger: Ledger) -> None:
    sending = start(ledger)
    sending.claim(NOW, 10)
    sending.record((), (intent(ANNA),))
    ledger.suppressions.add([Suppression(ANNA, "by hand", NOW)])
    sending.record((result(ANNA, Status.REFUSED, reply="550 5.1.1 no", suppress=True),), ())
    assert [(entry.pattern, entry.reason, entry.held_for) for entry in ledger.suppressions] == [
        (ANNA, "by hand", "")
    ]


# Clock changes.


def test_deferred_rows_become_due_even_if_the_clock_is_set_back(ledger: Ledger) -> None:
    sending = ledger.start(SCOPE, NOW, 2 * HOUR)
    sending.claim(NOW, 10)
    for key, delay in ((ANNA, HOUR), (BEN, 30 * DAY)):
        sending.record((), (intent(key),))
        sending.record((result(key, Status.DEFERRED, due_at=NOW + delay),), ())
    sending.unclaim([CLEO])
    assert [c.recipient.key for c in sending.claim(NOW, 10)] == [CLEO, BEN]
    assert sending.next_due(NOW) == NOW + HOUR
    assert sending.next_due(NOW - 300 * DAY) == NOW - 300 * DAY + 2 * HOUR
    assert [c.recipient.key for c in sending.claim(NOW - 300 * DAY, 10)] == [ANNA]


@pytest.mark.kinds("sqlite")
def test_a_result_that_cannot_be_written_is_reported_and_blocks_no_other(ledger: Ledger) -> None:
    sending = start(ledger)
    sending.claim(NOW, 10)
    sending.record((), (intent(ANNA), intent(BEN)))
    sqlite(ledger).script(
        "CREATE TEMP TRIGGER damaged BEFORE UPDATE ON main.messages WHEN NEW.status = 'refused'"
        " BEGIN SELECT RAISE(ABORT, 'damaged'); END"
    )
    with pytest.raises(sqlite3.IntegrityError, match="damaged"):
        sending.record((result(ANNA, Status.REFUSED),), ())
    sending.record((result(BEN),), ())
    assert statuses(ledger) == {ANNA: "in_flight", BEN: "accepted", CLEO: "pending"}


# Full disks.


@pytest.mark.kinds("sqlite")
def test_results_are_recorded_when_nothing_else_can_be(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrol(ledger, people(*(f"user{n}@example.com" for n in range(400))))
    sending = start(ledger)
    keys = [claim.recipient.key for claim in sending.claim(NOW, 400)]
    book = sqlite(ledger)
    book.rows(f"PRAGMA max_page_count = {book.rows('PRAGMA page_count')[0][0] + 1}")
    given: list[None] = []

    def give_room() -> None:
        given.append(None)
        book.rows("PRAGMA max_page_count = 1000000")

    monkeypatch.setattr(book, "use_reserve", give_room)
    before = keys[0]
    sending.record((), (intent(before),))
    full: LedgerFull | None = None
    for key in keys[1:]:
        try:
            assert sending.record((result(before),), (intent(key),)) == {key}
        except LedgerFull as error:
            full = error
            break
        before = key
    assert "Make room on the disk" in str(full)
    assert given
    found = statuses(ledger)
    assert found[before] == "accepted"
    assert "in_flight" not in found.values()
    # Other connections record their results, and send nothing more, whether or not there is room.
    sending.record((result(keys[-1], Status.REFUSED),), ())
    with pytest.raises(LedgerFull):
        sending.record((), (intent(keys[-2]),))
    assert statuses(ledger)[keys[-1]] == "refused"
    sending.end(NOW)


FULL_DISK = """
import json, sys
from pathlib import Path
from campaign.errors import LedgerFull
from campaign.ledger import Ledger
from campaign.model import Status
from tests.ledger.book import NOW, database, enrol, intent, people, result, start, statuses
folder = Path(sys.argv[1])
ledger = Ledger.open(folder / "ledger.db", "news")
enrol(ledger, people(*(f"user{n}@example.com" for n in range(3000))))
said = {}
sending = start(ledger)
claims = [claim.recipient.key for claim in sending.claim(NOW, 3000)]
filler = (folder / "filler").open("wb", buffering=0)
try:
    while True:
        filler.write(bytes(65536))
except OSError:
    filler.truncate(filler.tell() - 500_000)
flying, sent = [], 0
try:
    for key in claims:
        done, flying = flying, [key]
        sending.record([result(k) for k in done], [intent(key)])
        sent += 1
except LedgerFull as full:
    said["full"] = str(full)
    if done and statuses(ledger)[done[0]] == "accepted":
        said["answer recorded"] = True
said["sent"] = sent
sending.end(NOW)
filler.seek(0, 2)
try:
    while True:
        filler.write(bytes(4096))
except OSError:
    pass
try:
    start(ledger)
    said["again"] = "started"
except LedgerFull as full:
    said["again"] = str(full)
(folder / "filler").unlink()
filler.close()
again = start(ledger)
said["counts"] = dict(database(ledger).rows("SELECT status, count(*) FROM messages GROUP BY 1"))
said["integrity"] = database(ledger).rows("PRAGMA integrity_check")
left = [claim.recipient.key for claim in again.claim(NOW, 3000)]
for key in left:
    assert again.record((), (intent(key),)) == {key}
    again.record((result(key),), ())
said["at last"] = dict(database(ledger).rows("SELECT status, count(*) FROM messages GROUP BY 1"))
again.end(NOW)
print(json.dumps(said))
"""


def test_a_run_on_a_full_disk_records_its_last_results(tmp_path: Path) -> None:
    said = run_on_disk(tmp_path / "disk", "12m", FULL_DISK)
    assert "Make room on the disk, then send again" in said["full"]
    assert said["answer recorded"]
    assert 0 < said["sent"] < 3000
    assert "Make room on the disk" in said["again"]
    assert said["counts"] == {"accepted": said["sent"], "pending": 3000 - said["sent"]}
    assert said["integrity"] == [["ok"]]
    assert said["at last"] == {"accepted": 3000}


def test_sending_continues_after_a_person_settled_a_row_in_doubt(ledger: Ledger) -> None:
    sending = start(ledger)
    assert send(ledger, sending, ANNA, Status.IN_DOUBT)
    assert ledger.settle_doubt(Status.PENDING, [ANNA], "by hand", NOW) == 1
    assert [c.recipient.key for c in sending.claim(NOW, 1)] == [ANNA]
    assert database(ledger).rows("SELECT kind, text FROM events ORDER BY id") == [
        ("in_doubt", "250 2.0.0 Ok"),
        ("pending", "by hand"),
    ]
