"""Random lists, results and choices, compared with a model in a dict: the rules of enrolment always hold."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from campaign.address import fold
from campaign.ledger import Ledger, Suppression
from campaign.ledger.patterns import hashed
from campaign.ledger.protocols import Choices
from campaign.model import BadRow, Recipient, Status
from tests.ledger.book import NOW, bad, database, intent, result, row, start
from tests.servers.postgresql import PostgreSQL

KEYS = [f"k{n}" for n in range(6)]
ADDRESSES = ["anna@a.test", "Anna@a.test", "ben@a.test", "cleo@b.test", "dora@b.test", "emil@c.test"]
PATTERNS = [*sorted({fold(address) for address in ADDRESSES}), "@a.test", "@b.test"]
WAITING = (Status.PENDING, Status.DEFERRED)
HAD = (Status.ACCEPTED, Status.IN_DOUBT)
LEAVING = (*WAITING, Status.INVALID, Status.SUPPRESSED, Status.REFUSED)

GOOD = st.builds(
    lambda key, email, name, city: row(0, email, key=key, name=name, city=city),
    st.sampled_from(KEYS),
    st.sampled_from(ADDRESSES),
    st.sampled_from(["", "A"]),
    st.sampled_from(["x", "y"]),
)
BAD = st.builds(lambda key: bad(0, key), st.sampled_from(["", *KEYS]))
LISTS = st.lists(st.one_of(GOOD, GOOD, GOOD, BAD), max_size=9)


@dataclass
class Known:
    """A row as the ledger should have it."""

    status: Status
    email: str
    name: str
    city: str
    number: int
    attempts: int = 0
    left_as: Status | None = None

    @property
    def refused(self) -> bool:
        return Status.REFUSED in (self.status, self.left_as)


@dataclass
class Expected:
    """The plan that is expected."""

    counts: dict[str, int] = field(default_factory=dict)
    addresses: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1


class EnrolmentAgainstADict(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.ledger = self.opened()
        self.sending = start(self.ledger)
        self.known: dict[str, Known] = {}
        self.patterns: set[str] = set()
        self.forgotten: set[str] = set()
        self.rows: int | None = None

    def opened(self) -> Ledger:
        return Ledger.temporary("test")

    def teardown(self) -> None:
        self.ledger.close()

    @rule(rows=LISTS, resend=st.booleans(), retry=st.booleans(), skewed=st.booleans())
    def enrol(self, rows: list[Recipient | BadRow], resend: bool, retry: bool, skewed: bool) -> None:
        rows = [replace(one, number=n, line=n + 1) for n, one in enumerate(rows, 1 + skewed)]
        choices = Choices(resend, retry)
        enrolment = self.ledger.enrolment(choices)
        enrolment.stage(("email", "city"), rows)
        said = [double.line for double in enrolment.drop_duplicates()]
        enrolment.recognise()
        kept, doubles = self.kept(rows)
        assert said == doubles
        again = self.again_by_another_key(kept, choices)
        expected = self.expect(kept, choices)
        plan = enrolment.plan()
        assert (plan.rekeyed, plan.further, plan.gone) == again
        assert (plan.rows, plan.rows_before) == (len(kept), self.rows)
        self.rows = len(kept)
        sendable = [one.email for one in enrolment.to_send()]
        assert sendable == expected.addresses
        enrolment.apply(NOW)

        assert plan.deferred == expected.counts.get("put off", 0)
        for name in ("new", "waiting", "changed", "returned", "again", "withdrawn", *map(str, Status)):
            if hasattr(plan, name) and name != Status.DEFERRED:
                assert getattr(plan, name) == expected.counts.get(name, 0), name
        assert plan.to_send == len(expected.addresses)
        ends = (expected.addresses[0], expected.addresses[-1]) if expected.addresses else ("", "")
        assert (plan.first, plan.last) == ends

    @staticmethod
    def kept(rows: list[Recipient | BadRow]) -> tuple[list[Recipient | BadRow], list[int]]:
        """Return the rows that count, and the lines of duplicates of earlier rows."""
        good: dict[str, Recipient] = {}
        doubles = []
        for one in rows:
            if isinstance(one, Recipient):
                if one.key in good:
                    doubles.append(one.line)
                good.setdefault(one.key, one)
        kept: list[Recipient | BadRow] = list(good.values())
        said: set[str] = set(good)
        for one in rows:
            if isinstance(one, BadRow) and (not one.key or one.key not in said):
                kept.append(replace(one, key=one.key or f" row {one.number}"))
                said.add(one.key)
        return sorted(kept, key=lambda one: one.number), doubles

    def again_by_another_key(self, rows: list[Recipient | BadRow], choices: Choices) -> tuple[int, int, int]:
        """Return the plan's counts `rekeyed`, `further` and `gone`."""
        listed = {one.key for one in rows}
        had = {key: was for key, was in self.known.items() if was.status in HAD}
        rekeyed = further = 0
        for one in rows:
            if one.key in self.known or self.becomes(None, one, choices) != Status.PENDING:
                continue
            assert isinstance(one, Recipient)
            theirs = {key: was for key, was in had.items() if fold(was.email) == fold(one.email)}
            leaves = any(key not in listed and was.left_as is None for key, was in theirs.items())
            stays = any(key in listed for key in theirs)
            rekeyed += leaves or (bool(theirs) and not stays)
            further += stays and not leaves
        return rekeyed, further, sum(key not in listed for key in had)

    def expect(self, rows: list[Recipient | BadRow], choices: Choices) -> Expected:
        """Apply the rules of enrolment to `known`, and return the plan that is expected."""
        expected = Expected()
        listed = {one.key for one in rows}
        for key, was in self.known.items():
            if was.status in LEAVING and key not in listed:
                was.left_as, was.status = was.status, Status.WITHDRAWN
                expected.add("withdrawn")
            elif was.status in HAD:
                was.left_as = None if key in listed else was.left_as or was.status
        for one in rows:
            known = self.known.get(one.key)
            becomes = self.becomes(known, one, choices)
            expected.add(becomes)
            if becomes in WAITING:
                assert isinstance(one, Recipient)
                expected.addresses.append(one.email)
                expected.add(self.kind(known, one, becomes))
            self.enrol_one(known, one, becomes)
        expected.counts.pop("pending", None)
        return expected

    @staticmethod
    def kind(known: Known | None, one: Recipient, becomes: Status) -> str:
        if known is None:
            return "new"
        if known.status == Status.WITHDRAWN:
            return "returned"
        if (known.email, known.name, known.city) != (one.email, one.name, one.row["city"]):
            return "changed"
        if becomes == Status.DEFERRED:
            return "put off"
        return "waiting" if known.status == Status.PENDING else "again"

    def becomes(self, known: Known | None, one: Recipient | BadRow, choices: Choices) -> Status:
        was = known.status if known else None
        if was == Status.ACCEPTED:
            return Status.ACCEPTED
        if was == Status.IN_DOUBT and not choices.resend_doubt:
            return Status.IN_DOUBT
        if isinstance(one, BadRow):
            return Status.INVALID
        assert isinstance(one, Recipient)
        email = "" if fold(one.email) in self.forgotten else one.email
        suppressed = self.suppressed(one.email)
        stays = suppressed or not choices.retry_refused
        if known and known.refused and stays and fold(known.email) == fold(email):
            return Status.REFUSED
        if suppressed:
            return Status.SUPPRESSED
        if was == Status.DEFERRED and known and known.email == one.email:
            return Status.DEFERRED
        return Status.PENDING

    def enrol_one(self, known: Known | None, one: Recipient | BadRow, becomes: Status) -> None:
        forgotten = isinstance(one, Recipient) and fold(one.email) in self.forgotten
        if known is not None and becomes in (Status.ACCEPTED, Status.IN_DOUBT):
            return
        if known is None and forgotten:
            return  # nothing about them is stored again
        blank = isinstance(one, BadRow) or forgotten
        new = Known(becomes, "", "", "", one.number)
        if not blank:
            assert isinstance(one, Recipient)
            new = Known(becomes, one.email, one.name, one.row["city"], one.number)
        if known is not None:
            anew = becomes == Status.PENDING and (known.status != Status.PENDING or known.email != new.email)
            new.attempts = 0 if anew else known.attempts
        self.known[one.key] = new

    def suppressed(self, email: str) -> bool:
        folded = fold(email)
        return bool({folded, "@" + folded.partition("@")[2]} & self.patterns) or folded in self.forgotten

    @rule(key=st.sampled_from(KEYS), status=st.sampled_from(["accepted", "refused", "deferred", "in_doubt"]))
    def send_one(self, key: str, status: str) -> None:
        known = self.known.get(key)
        claims = {claim.recipient.key: claim for claim in self.sending.claim(NOW, 1000)}
        waiting = {self.stored(k) for k, row in self.known.items() if row.status in WAITING}
        assert set(claims) == waiting
        stored = self.stored(key)
        held = stored in self.sending.record((), (intent(stored),))
        assert held == (known is not None and known.status in WAITING)
        if held:
            assert known is not None
            assert claims[stored].recipient.email == known.email
            assert claims[stored].attempts == known.attempts
            self.sending.record((result(stored, Status(status)),), ())
            known.status = Status(status)
            known.attempts += status != "in_doubt"
        self.sending.unclaim(list(claims))

    @rule(key=st.sampled_from(KEYS), status=st.sampled_from([Status.ACCEPTED, Status.PENDING]))
    def resolve(self, key: str, status: Status) -> None:
        known = self.known.get(key)
        settled = self.ledger.settle_doubt(status, [self.stored(key)], "by hand", NOW)
        if known is not None and known.status == Status.IN_DOUBT:
            assert settled == 1
            becomes = status
            if status is Status.PENDING and (not known.email or self.suppressed(known.email)):
                becomes = Status.SUPPRESSED
            known.status = becomes
        else:
            assert settled == 0

    @rule(pattern=st.sampled_from(PATTERNS))
    def suppress(self, pattern: str) -> None:
        new, rows = self.ledger.suppressions.add([Suppression(pattern, "asked", NOW)])
        assert bool(new) == (pattern not in self.patterns and pattern not in self.forgotten)
        if new:
            self.patterns.add(pattern)
        hit = [k for k in self.known.values() if k.status in WAITING and self.suppressed(k.email)]
        assert rows == len(hit)
        for known in hit:
            known.status = Status.SUPPRESSED

    @rule(pattern=st.sampled_from(PATTERNS))
    def allow(self, pattern: str) -> None:
        missing = self.ledger.suppressions.remove([pattern])
        assert bool(missing) == (pattern not in self.patterns and pattern not in self.forgotten)
        self.patterns.discard(pattern)
        self.forgotten.discard(pattern)

    @rule(address=st.sampled_from(ADDRESSES))
    def forget(self, address: str) -> None:
        folded = fold(address)
        theirs = [key for key, known in self.known.items() if fold(known.email) == folded]
        # A row may have become a bad one after its address had an event.
        events = database(self.ledger).rows("SELECT address FROM events")
        told = any(fold(str(told_of)) == folded for (told_of,) in events)
        assert self.ledger.forget(address, NOW).rows == len(theirs)
        for key in theirs:
            if self.known[key].status in (Status.ACCEPTED, Status.IN_DOUBT):
                self.known[key] = replace(self.known[key], email="", name="", city="")
            else:
                del self.known[key]
        if theirs or told or folded in self.patterns:  # an unknown person is not suppressed
            self.forgotten.add(folded)
        self.patterns.discard(folded)

    def stored(self, key: str) -> str:
        """Return a key as the ledger stores it."""
        secret = hashed(self.ledger.secret, key)
        return secret if database(self.ledger).row("SELECT 1 FROM messages WHERE key = ?", (secret,)) else key

    @invariant()
    def the_ledger_is_the_dict(self) -> None:
        found = {
            entry.key: (entry.status, entry.email, entry.name, entry.row.get("city", ""), entry.attempts)
            for entry in self.ledger.history.entries(NOW)
        }
        assert found == {
            self.stored(key): (k.status, k.email, k.name, k.city, k.attempts) for key, k in self.known.items()
        }
        assert not any(fold(e) in self.forgotten for _, e, *_ in found.values())
        assert {entry.pattern for entry in self.ledger.suppressions} == self.patterns | {
            hashed(self.ledger.secret, address) for address in self.forgotten
        }


TestEnrolmentAgainstADict = EnrolmentAgainstADict.TestCase


class InADatabase(EnrolmentAgainstADict):
    server: ClassVar[PostgreSQL]

    def opened(self) -> Ledger:
        self.location = self.server.ledger()
        ledger = Ledger.open(self.location, "test")
        ledger.register()
        return ledger

    def teardown(self) -> None:
        super().teardown()
        self.server.drop(self.location)


def test_enrolment_in_postgresql_follows_the_same_rules(postgresql: PostgreSQL) -> None:
    InADatabase.server = postgresql
    run_state_machine_as_test(InADatabase, settings=settings(max_examples=25, stateful_step_count=30))
