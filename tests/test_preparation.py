"""Before anything leaves, every row is read and rendered, and what is wrong is said, up to a number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from campaign.campaignfile.load import load
from campaign.errors import UserError
from campaign.ledger import Ledger, Suppression
from campaign.message.tokens import Secrets
from campaign.preparation import MOST_SHOWN, Preparation, prepare
from tests.folder import write_campaign

Prepare = Callable[..., Preparation]


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    ledger = Ledger.temporary("spring")
    yield ledger
    ledger.close()


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ledger: Ledger) -> Prepare:
    monkeypatch.chdir(tmp_path)

    def prepared(people: str, body: str = "Hi {{ first }}", **values: Any) -> Preparation:
        file = write_campaign(Path(), {"list.csv": people, "body.txt": body}, **values)
        return prepare(load(file), ledger.enrolment(), Secrets.placeholder())

    return prepared


def test_what_is_seen_of_a_list(prepared: Prepare) -> None:
    people = "email,first\nann@x.test,Ann\nben@x.test,Ben\njürgen@x.test,Jü\n"
    found = prepared(people, cc=["c@x.test"], bcc=["b@x.test"])
    survey = found.survey
    assert (survey.rows, survey.messages, survey.addresses, survey.smtputf8) == (3, 3, 9, 1)
    assert survey.first is not None
    assert survey.first_recipient is not None
    assert survey.first_recipient.email == "ann@x.test"
    assert survey.largest >= survey.first.size > 100
    assert found.errors == []
    assert (found.plan.to_send, found.plan.first, found.plan.last) == (3, "ann@x.test", "jürgen@x.test")


def test_bad_rows_are_all_said_and_the_others_prepared(prepared: Prepare) -> None:
    people = "email,first\nann@x.test,1\nnobody,2\nben@x.test,0\ncat@x.test\ndan@x.test,4\n"
    found = prepared(people, "{{ 12 // (first|int) }}", subject="{{ first }}\n" * 2)
    assert [str(problem) for problem in found.errors] == [
        "list.csv:3: email: 'nobody' has no @",
        "list.csv:5: the row has 1 cell, fewer than the header's 2",
        "spring.yaml:4:10: subject: Subject holds a line break (U+000A): '1\\n1' (row 1, line 2 of the list)",
        "body.txt:1: the template cannot do this: integer division or modulo by zero"
        " (row 3, line 4 of the list)",
        "spring.yaml:4:10: subject: Subject holds a line break (U+000A): '4\\n4' (row 5, line 6 of the list)",
    ]
    assert (found.survey.messages, found.plan.to_send, found.plan.invalid) == (0, 0, 5)


@pytest.mark.parametrize(("bad", "shown"), [(MOST_SHOWN, MOST_SHOWN), (MOST_SHOWN + 7, MOST_SHOWN + 1)])
def test_the_first_are_listed_and_the_rest_counted(prepared: Prepare, bad: int, shown: int) -> None:
    found = prepared("email,first\nann@x.test,Ann\n" + "nobody,x\n" * bad)
    errors = [str(problem) for problem in found.errors]
    assert len(errors) == shown
    assert errors[0].startswith("list.csv:3: ")
    assert errors[MOST_SHOWN - 1].startswith(f"list.csv:{MOST_SHOWN + 2}: ")
    assert errors[MOST_SHOWN:] == ([] if bad == MOST_SHOWN else ["list.csv: and 7 more bad rows"])
    assert (found.plan.to_send, found.plan.invalid) == (1, bad)


def test_however_many_rows_are_bad_few_are_kept(
    prepared: Prepare, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = "email,first\n" + "".join(f"p{n}@x.test,{n % 2}\n" for n in range(5001))
    found = prepared(people, "{{ 1 // (first|int) }}")
    assert (found.plan.to_send, found.plan.invalid, found.survey.bad.count) == (2500, 2501, 2501)
    assert len(found.survey.bad.shown) == MOST_SHOWN

    enrolment, batches = ledger.enrolment(), list[int]()
    mark_bad = enrolment.mark_bad

    def counting(rows: Iterable[tuple[int, str]]) -> None:
        some = list(rows)
        batches.append(len(some))
        mark_bad(some)

    monkeypatch.setattr(enrolment, "mark_bad", counting)
    assert prepare(found.campaign, enrolment, Secrets.placeholder()).plan == found.plan
    assert batches == [1000, 1000, 501]


def test_problems_of_list_and_templates_are_raised_together(prepared: Prepare) -> None:
    with pytest.raises(UserError) as caught:
        prepared(
            "mail,first\n",
            "{{ frist }}",
            subject="{{ nme }}",
            recipients={"csv": "list.csv", "where": "a == b"},
        )
    said = str(caught.value)
    for what in (
        "did you mean 'mail'?",
        "recipients.where: 'a' is not",
        "'frist' is not defined",
        "'nme' is not",
    ):
        assert what in said


def test_duplicates_are_left_out(prepared: Prepare) -> None:
    found = prepared("email,first\nann@x.test,A\nben@x.test,B\nANN@X.test ,C\nann@x.test,D\n")
    first, second = map(str, found.survey.duplicates.shown)
    assert first.startswith("list.csv:4: ")
    assert second.startswith("list.csv:5: ")
    assert second.endswith("stands in line 2 already; this row is left out")
    assert (found.survey.messages, found.plan.to_send) == (2, 2)
    assert found.errors == []


def test_a_key_that_two_people_share_names_who_gets_nothing(prepared: Prepare) -> None:
    people = "email,first\nann@x.test,A\nben@x.test,A\n"
    found = prepared(people, recipients={"csv": "list.csv", "key": "first"})
    (only,) = found.survey.duplicates.shown
    assert str(only) == "list.csv:3: 'A' stands in line 2 already; this row, ben@x.test, is left out"


def test_suppressed_rows_are_not_rendered(prepared: Prepare, ledger: Ledger) -> None:
    ledger.suppressions.add([Suppression("ben@x.test", "complaint", 0), Suppression("@y.test", "asked", 0)])
    people = "email,first\nann@x.test,1\nBen@X.test,0\ncat@y.test,0\n"
    found = prepared(people, "{{ 1 // (first|int) }}")
    assert found.errors == []
    assert (found.plan.to_send, found.plan.suppressed, found.survey.messages) == (1, 2, 1)


def test_rows_that_where_leaves_out_are_not_seen(prepared: Prepare) -> None:
    people = "email,first\nann@x.test,1\nben@x.test,0\ncat@x.test,1\n"
    found = prepared(people, recipients={"csv": "list.csv", "where": "first == '1'"})
    assert (found.survey.rows, found.plan.to_send) == (2, 2)


def test_blank_cells_that_a_template_prints(prepared: Prepare) -> None:
    people = "email,first,last,note\nann@x.test,Ann,,\nben@x.test, ,,\ncat@x.test,,C,\n"
    found = prepared(people, "Dear {{ first }} {% if last %}{{ last }}{% endif %}")
    (column,) = found.survey.blank
    assert (column, found.survey.blank[column].rows, found.survey.blank[column].line) == ("first", 2, 3)


def test_blank_subjects(prepared: Prepare) -> None:
    people = "email,first\nann@x.test,\nben@x.test,Ben\ncat@x.test,\n"
    blank = prepared(people, "Subject: \r\n\r\nSubject: \r\n", subject="{{ first }}").survey.blank_subject
    assert (blank.rows, blank.line) == (2, 2)


def test_a_list_of_nobody(prepared: Prepare) -> None:
    found = prepared("email,first\n")
    assert (found.plan.to_send, found.survey.rows, found.survey.first) == (0, 0, None)


def test_progress_is_told(prepared: Prepare, ledger: Ledger) -> None:
    prepared("email,first\n" + "".join(f"p{n}@x.test,x\n" for n in range(1500)))
    told: list[tuple[str, int, int]] = []
    prepare(
        load(Path("spring.yaml")),
        ledger.enrolment(),
        Secrets.placeholder(),
        lambda doing, done, of: told.append((doing, done, of)),
    )
    for doing in ("reading", "rendering"):
        steps = [(done, of) for what, done, of in told if what == doing]
        assert len(steps) >= 3
        assert steps == sorted(steps)
        assert steps[-1][0] == steps[-1][1]
