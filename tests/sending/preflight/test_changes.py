"""Differences from earlier runs in keys, names and lists are found, and nothing else is; with real files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from campaign.campaignfile.load import load
from campaign.ledger import Ledger
from campaign.ledger.protocols import Plan
from campaign.message.tokens import Secrets
from campaign.model import KeyColumn, Status
from campaign.preparation import Preparation, prepare
from campaign.sending.preflight.changes import Change, changes, key_of
from tests.ledger.book import NOW, database, intent, result, start

BY_INVOICE = {"csv": "list.csv", "key": "invoice"}


@dataclass
class Desk:
    """A campaign in a folder: `looks` prepares it and returns the differences; `sends` also sends it."""

    recipients: object = "list.csv"
    name: str = "news"
    plans: list[Plan] = field(default_factory=list)

    def write(self, people: str) -> None:
        Path("list.csv").write_text(people, "utf-8")
        Path("body.txt").write_text("Hi")
        given = {
            "name": self.name,
            "recipients": self.recipients,
            "from": "news@example.com",
            "subject": "News",
            "templates": {"text": "body.txt"},
            "smtp": {"host": "localhost"},
        }
        Path("news.yaml").write_text(yaml.safe_dump(given, sort_keys=False))

    def looks(self, people: str) -> dict[Change, str]:
        """Return what `send` would ask about."""
        self.write(people)
        with self._opened() as (_, _, found):
            return found

    def sends(self, people: str, status: Status = Status.ACCEPTED, *, only: int = 1000) -> dict[Change, str]:
        """Send to at most `only` rows, and return what had to be accepted."""
        self.write(people)
        with self._opened() as (ledger, preparation, found):
            ledger.register()
            run = start(ledger)
            preparation.enrolment.apply(NOW)
            ledger.adopt(key_of(preparation.campaign) if preparation.plan.to_send else None)
            for claim in run.claim(NOW, only):
                run.record((), (intent(claim.key),))
                if status is not Status.IN_FLIGHT:
                    run.record((result(claim.key, status, address=claim.recipient.email),), ())
            run.end(NOW)
            return found

    @property
    def plan(self) -> Plan:
        return self.plans[-1]

    @contextmanager
    def _opened(self) -> Iterator[tuple[Ledger, Preparation, dict[Change, str]]]:
        campaign = load(Path("news.yaml"))
        ledger = Ledger.open(Path("ledger.db"), campaign.name, campaign.file)
        try:
            ledger.register()
            prepared = prepare(campaign, ledger.enrolment(), Secrets.placeholder())
            self.plans.append(prepared.plan)
            yield ledger, prepared, dict(changes(campaign, ledger, prepared))
        finally:
            ledger.close()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    return Desk()


HAD = [Status.ACCEPTED, Status.IN_DOUBT, Status.IN_FLIGHT]


class TestKeys:
    def test_adding_and_removing_rows_is_not_a_difference(self, desk: Desk) -> None:
        assert desk.sends("email\na@x.test\nb@x.test\nc@x.test\n") == {}
        assert desk.sends("email\nb@x.test\nc@x.test\nd@x.test\n") == {}
        assert (desk.plan.new, desk.plan.rekeyed, desk.plan.further, desk.plan.gone) == (1, 0, 0, 1)

    @pytest.mark.parametrize("status", HAD)
    def test_a_row_with_an_edited_key_is_asked_about(self, desk: Desk, status: Status) -> None:
        desk.recipients = BY_INVOICE
        desk.sends("email,invoice\na@x.test,A-1\nb@x.test,A-2\n", status)
        found = desk.looks("email,invoice\na@x.test,A/1\nb@x.test,A-2\nc@x.test,A-3\n")
        assert found == {
            Change.KEYS: "1 of the new rows goes to addresses that have had this campaign under another key"
        }
        assert (desk.plan.new, desk.plan.rekeyed, desk.plan.further) == (2, 1, 0)

    def test_an_unsent_row_may_get_another_key(self, desk: Desk) -> None:
        desk.recipients = BY_INVOICE
        desk.sends("email,invoice\na@x.test,A-1\nb@x.test,A-2\n", Status.REFUSED)
        assert desk.looks("email,invoice\na@x.test,A/1\nb@x.test,A-2\n") == {}

    def test_a_further_row_for_a_mailed_address_is_only_counted(self, desk: Desk) -> None:
        desk.recipients = BY_INVOICE
        desk.sends("email,invoice\na@x.test,1\nb@x.test,2\n")
        assert desk.looks("email,invoice\na@x.test,1\nb@x.test,2\nA@X.test,3\n") == {}
        assert (desk.plan.new, desk.plan.rekeyed, desk.plan.further) == (1, 0, 1)

    def test_editing_one_of_several_keys_of_a_person_is_asked_about(self, desk: Desk) -> None:
        """The other row is still listed, so it does not explain the new one."""
        desk.recipients = BY_INVOICE
        desk.sends("email,invoice\na@x.test,1\na@x.test,2\n")
        assert set(desk.looks("email,invoice\na@x.test,1\na@x.test,02\n")) == {Change.KEYS}

    def test_a_row_that_left_the_list_earlier_does_not_explain_a_new_row(self, desk: Desk) -> None:
        desk.recipients = BY_INVOICE
        desk.sends("email,invoice\na@x.test,1\na@x.test,2\n")
        desk.sends("email,invoice\na@x.test,1\n")
        assert desk.looks("email,invoice\na@x.test,1\na@x.test,3\n") == {}
        assert desk.plan.further == 1
        # Unless no row of that person is listed.
        desk.sends("email,invoice\nb@x.test,9\n")
        assert set(desk.looks("email,invoice\nb@x.test,9\na@x.test,3\n")) == {Change.KEYS}
        # A row that returned to the list may leave it again.
        desk.sends("email,invoice\na@x.test,1\na@x.test,2\nb@x.test,9\n")
        assert set(desk.looks("email,invoice\na@x.test,1\na@x.test,02\nb@x.test,9\n")) == {Change.KEYS}

    @pytest.mark.parametrize("status", HAD)
    def test_another_key_column_is_asked_about(self, desk: Desk, status: Status) -> None:
        people = "email,invoice\na@x.test,1\nb@x.test,2\n"
        desk.sends(people, status)
        desk.recipients = BY_INVOICE
        assert desk.looks(people) == {
            Change.KEYS: "rows were told apart by `email` when some were mailed, and now by `invoice`;"
            " 2 of the new rows go to addresses that have had this campaign under another key"
        }
        # Once accepted, it is the key from now on.
        assert set(desk.sends(people)) == {Change.KEYS}
        assert desk.looks(people) == {}

    def test_another_address_column_is_asked_about(self, desk: Desk) -> None:
        """The same people at their home addresses: no address is known, so no row is found."""
        people = "work,private\na@work.test,a@home.test\nb@work.test,b@home.test\n"
        desk.recipients = {"csv": "list.csv", "email": "work"}
        desk.sends(people, only=1)
        desk.recipients = {"csv": "list.csv", "email": "private"}
        assert desk.looks(people) == {
            Change.KEYS: "rows were told apart by `work` when some were mailed, and now by `private`;"
            " by that, 1 row of theirs is not on the list, and 2 are new"
        }

    @pytest.mark.parametrize("before", ["work", "{{ work.split(' ')[0] }}"])
    def test_a_template_as_address_is_asked_about_if_addresses_change(self, desk: Desk, before: str) -> None:
        """As for another column; if it gives the same addresses, nothing is asked."""
        people = "work,private\na@work.test,a@home.test\nb@work.test,b@home.test\n"
        desk.recipients = {"csv": "list.csv", "email": before}
        desk.sends(people, only=1)
        desk.recipients = {"csv": "list.csv", "email": "{{ work|trim }}"}
        assert desk.looks(people) == {}
        desk.recipients = {"csv": "list.csv", "email": "{{ private|trim }}"}
        assert desk.looks(people) == {
            Change.KEYS: f"rows were told apart by `{before}` when some were mailed,"
            " and now by `{{ private|trim }}`; by that, 1 row of theirs is not on the list, and 2 are new"
        }

    def test_a_key_that_is_no_longer_the_address_column_is_asked_about(self, desk: Desk) -> None:
        """Addresses are compared folded, other columns as written."""
        people = "work,private\nAnn@work.test,a@home.test\n"
        desk.recipients = {"csv": "list.csv", "email": "work"}
        desk.sends(people)
        desk.recipients = {"csv": "list.csv", "email": "private", "key": "work"}
        assert set(desk.looks(people)) == {Change.KEYS}

    @pytest.mark.parametrize("key", [None, "invoice", ["email", "invoice"]])
    def test_a_column_may_be_renamed(self, desk: Desk, key: object) -> None:
        given = {"csv": "list.csv", **({"key": key} if key else {})}
        desk.recipients = given
        desk.sends("email,invoice\na@x.test,1\nb@x.test,2\n", only=1)
        new = (
            [{"email": "Mail", "invoice": "No"}[column] for column in key] if isinstance(key, list) else "No"
        )
        desk.recipients = {**given, "email": "Mail", **({"key": new} if key else {})}
        assert desk.sends("Mail,No\na@x.test,1\nb@x.test,2\nc@x.test,3\n", only=0) == {}
        assert (desk.plan.new, desk.plan.changed, desk.plan.accepted) == (1, 1, 1)

    def test_a_declined_change_is_asked_about_again(self, desk: Desk) -> None:
        people = "email,invoice\na@x.test,1\n"
        desk.sends(people)
        desk.recipients = BY_INVOICE
        for _ in range(2):
            assert set(desk.looks(people)) == {Change.KEYS}

    def test_key_columns_stored_by_an_earlier_release_are_understood(self, desk: Desk) -> None:
        desk.sends("email,invoice\na@x.test,1\n")
        ledger = Ledger.open(Path("ledger.db"), "news")
        for stored, key, same in (
            ('["the address"]', [KeyColumn("Mail", addressed=True)], True),
            ('["the address"]', [KeyColumn("Mail")], False),
            (
                '["the address", "`invoice`"]',
                [KeyColumn("email", addressed=True), KeyColumn("invoice")],
                True,
            ),
            ('["the address", "`invoice`"]', [KeyColumn("email", addressed=True), KeyColumn("No")], False),
            ('["`invoice`"]', [KeyColumn("invoice")], True),
        ):
            database(ledger).change("UPDATE campaigns SET key = ?", (stored,))
            assert (ledger.other_key(key) is None) is same
        ledger.close()


class TestName:
    PEOPLE = "email\na@x.test\nb@x.test\n"

    def test_another_name_in_the_same_file_is_asked_about(self, desk: Desk) -> None:
        desk.sends(self.PEOPLE)
        desk.name = "autumn"
        words = "2 rows had this campaign when it was named 'news'; another name is another campaign, and"
        assert desk.looks(self.PEOPLE) == {Change.NAME: f"{words} mails everybody again"}
        assert set(desk.sends(self.PEOPLE, only=1)) == {Change.NAME}
        # Once accepted, it is another campaign.
        assert desk.looks(self.PEOPLE + "c@x.test\n") == {}

    def test_another_name_is_asked_about_through_a_link_too(self, desk: Desk) -> None:
        desk.sends(self.PEOPLE)
        desk.name = "autumn"
        desk.write(self.PEOPLE)
        Path("news.yaml").rename("real.yaml")
        Path("news.yaml").symlink_to("real.yaml")
        assert set(desk.looks(self.PEOPLE)) == {Change.NAME}

    def test_a_name_under_which_nothing_was_sent_may_be_edited(self, desk: Desk) -> None:
        desk.sends(self.PEOPLE, Status.REFUSED)
        desk.name = "autumn"
        assert desk.looks(self.PEOPLE) == {}

    def test_another_file_in_the_same_ledger_is_another_campaign(self, desk: Desk) -> None:
        desk.sends(self.PEOPLE)
        old = Path("news.yaml").rename("old.yaml").absolute()
        ledger = Ledger.open(Path("ledger.db"), "news", old)
        ledger.adopt()
        ledger.close()
        desk.name = "autumn"
        assert desk.looks(self.PEOPLE) == {}


class TestList:
    @staticmethod
    def people(count: int) -> str:
        return "email\n" + "".join(f"p{n}@x.test\n" for n in range(count))

    @pytest.mark.parametrize(("left", "asked"), [(0, True), (1, True), (4, True), (5, False), (10, False)])
    def test_a_list_that_lost_most_of_its_rows_is_asked_about(
        self, desk: Desk, left: int, asked: bool
    ) -> None:
        assert desk.sends(self.people(10), only=3) == {}
        found = desk.looks(self.people(left))
        assert (Change.LIST in found) is asked
        if asked:
            assert "and had 10 last time" in found[Change.LIST]

    def test_a_list_is_compared_with_the_last_one_agreed_to(self, desk: Desk) -> None:
        desk.sends(self.people(10))
        assert set(desk.sends(self.people(2))) == {Change.LIST}
        assert desk.looks(self.people(2)) == {}
        assert set(desk.looks(self.people(0))) == {Change.LIST}

    def test_rows_left_out_by_where_count_as_lost(self, desk: Desk) -> None:
        desk.sends(self.people(10))
        desk.recipients = {"csv": "list.csv", "where": "email == 'p1@x.test'"}
        assert set(desk.looks(self.people(10))) == {Change.LIST}

    def test_a_ledger_without_the_length_of_the_last_list_asks_nothing(self, desk: Desk) -> None:
        desk.sends(self.people(10))
        ledger = Ledger.open(Path("ledger.db"), "news")
        database(ledger).change("UPDATE campaigns SET rows = NULL")
        ledger.close()
        assert desk.looks(self.people(1)) == {}
        assert desk.plan.rows_before is None
