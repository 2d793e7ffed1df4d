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
from campaign.preparation import Preparation, prepare
from campaign.survey import MOST_SHOWN
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


def test_what_is_alike_but_for_a_cell_is_one_problem(prepared: Prepare) -> None:
    people = "email,first\n" + "".join(f"p{n}@x.test,{n}\n" for n in (1, 2, 4))
    people += "a@x ::: b@x,3\nc@x ::: d@x,5\n"
    found = prepared(people, attachments=["files/{{ first }}.pdf"])
    listed, missing = found.errors
    write = "`recipients.email: \"{{ row['email'].split(' ::: ')[0] }}\"`"
    assert str(listed).endswith(f"{write} (row 4; similarly in row 5)")
    assert str(missing) == (
        "spring.yaml:10:3: attachments, entry 1: there is no file 'files/1.pdf'; look at the column first"
        " (row 1; similarly in rows 2–3)"
    )
    assert missing.rows is not None
    assert (missing.rows.count, missing.rows.ranges) == (3, ((1, 3),))


def test_a_list_that_is_read_wrongly_is_one_problem(prepared: Prepare) -> None:
    for people in ("email:first\nann@x.test:Ann\n", "ann@x.test,Ann\nben@x.test,Ben\n"):
        with pytest.raises(UserError) as caught:
            prepared(people, "{{ first }} {{ last }}", subject="{{ first }}")
        (only,) = caught.value.problems
        assert "looks" in only.message


def test_bad_rows_are_all_said_and_the_others_prepared(prepared: Prepare) -> None:
    people = "email,first\nann@x.test,1\nnobody,2\nben@x.test,0\ncat@x.test\ndan@x.test,4\n"
    found = prepared(people, "{{ 12 // (first|int) }}", subject="{{ first }}\n" * 2)
    assert [str(problem) for problem in found.errors] == [
        "list.csv:3: email: 'nobody' has no @",
        "list.csv:5: the row has 1 cell, fewer than the header's 2",
        "spring.yaml:4:10: subject: Subject holds a line break (U+000A): '1\\n1' (row 1; similarly in row 5)",
        "body.txt:1: the template cannot do this: integer division or modulo by zero"
        " (row 3, line 4 of the list)",
    ]
    assert (found.survey.messages, found.plan.to_send, found.plan.invalid) == (0, 0, 5)


def test_a_fault_in_a_subject_s_file_is_told_of_the_file(prepared: Prepare) -> None:
    Path("subject.txt").write_text("Dear {{ first }}\nwelcome\n")
    people = "email,first\nann@x.test,Ann\nben@x.test,Ben\n"
    (only,) = prepared(people, subject=None, templates={"subject": "subject.txt", "text": "body.txt"}).errors
    assert "templates.subject: Subject holds a line break (U+000A): 'Dear Ann\\nwelcome'" in str(only)
    assert str(only).endswith("(row 1; similarly in row 2)")


def test_one_fault_in_a_template_is_said_once_with_its_rows(prepared: Prepare) -> None:
    people = "email,Betrag\n" + "".join(f'p{n}@x.test,"{n},50 €"\n' for n in range(400))
    (only,) = prepared(people, "Hi\n{{ Betrag|float }}").errors
    assert str(only) == (
        "body.txt:2: Betrag: '0,50 €' is no number; |number(decimal=',') reads it"
        " (row 1; similarly in rows 2–400)"
    )


@pytest.mark.parametrize(
    ("recipients", "said"),
    [
        (
            {"where": "first"},
            "recipients.where: the condition gives 'p0', which is neither true nor false;"
            " compare it: plan == 'pro'",
        ),
        (
            {"name": "{{ first|float }}"},
            "recipients.name: first: 'p0' is no number",
        ),
        (
            {"email": "{{ first|float }}"},
            "recipients.email: first: 'p0' is no number",
        ),
    ],
)
def test_one_fault_in_a_template_of_the_list_is_said_once(
    recipients: dict[str, str], said: str, prepared: Prepare
) -> None:
    people = "email,first\n" + "".join(f"p{n}@x.test,p{n}\n" for n in range(400))
    (only,) = prepared(people, recipients={"csv": "list.csv", **recipients}).errors
    assert str(only) == f"list.csv:2: {said} (row 1; similarly in rows 2–400)"


def test_equal_bad_rows_are_said_once(prepared: Prepare) -> None:
    people = "email,first\n" + "nobody,x\n" * 3 + "ann@x.test,A\nnobody,y\nben,z\n"
    assert [str(problem) for problem in prepared(people).errors] == [
        "list.csv:2: email: 'nobody' has no @ (rows 1–3, 5)",
        "list.csv:7: email: 'ben' has no @",
    ]


def test_problems_stand_in_the_order_of_the_file(prepared: Prepare) -> None:
    people = "email,a,b\nann@x.test,x,1\nben@x.test,1,x\ncat@x.test,1,1\n"
    (first, second) = prepared(people, "{% if a == 'x' %}\n{{ a|int }}{% endif %}\n{{ b|int }}").errors
    assert str(first) == "body.txt:2: a: 'x' is no number (row 1, line 2 of the list)"
    assert str(second) == "body.txt:3: b: 'x' is no number (row 2, line 3 of the list)"
    second_first = "email,a,b\nben@x.test,1,x\nann@x.test,x,1\n"
    found = prepared(second_first, "{% if a == 'x' %}\n{{ a|int }}{% endif %}\n{{ b|int }}").errors
    assert [problem.line for problem in found] == [2, 3]


def test_many_bad_rows_do_not_hide_a_template_s_fault(prepared: Prepare) -> None:
    people = "email,first\n" + "".join(f"nobody{n},x\n" for n in range(60)) + "ann@x.test,A\n"
    found = [str(problem) for problem in prepared(people, "{{ first|int }}").errors]
    assert found[MOST_SHOWN:] == [
        "body.txt:1: first: 'A' is no number (row 61, line 62 of the list)",
        "list.csv: and 10 more bad rows",
    ]


def test_template_errors_and_bad_rows_are_told_together(prepared: Prepare) -> None:
    with pytest.raises(UserError) as caught:
        prepared("email,first\nnobody,x\n", "{{ frist }}\n{{ lats }}", subject="{{ nme }}")
    said = [str(problem) for problem in caught.value.problems]
    assert [line.split(": ")[0] for line in said] == [
        "spring.yaml:4:10",
        "body.txt:1",
        "body.txt:2",
        "list.csv:2",
    ]
    # The columns are listed once.
    assert [line for line in said if "the list's columns are email, first" in line] == said[:1]


@pytest.mark.parametrize(("bad", "shown"), [(MOST_SHOWN, MOST_SHOWN), (MOST_SHOWN + 7, MOST_SHOWN + 1)])
def test_the_first_are_listed_and_the_rest_counted(prepared: Prepare, bad: int, shown: int) -> None:
    found = prepared("email,first\nann@x.test,Ann\n" + "".join(f"nobody{n},x\n" for n in range(bad)))
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
    (only,) = found.survey.bad.shown
    assert str(only).endswith("(rows 1, 3, 5, 7, 9, 11, 13, 15 and 2,493 more)")

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
    found = prepared("email,first,note\nann@x.test,A,1\nben@x.test,B,2\nANN@X.test , A,3\nann@x.test,A,1\n")
    first, second = map(str, found.survey.duplicates.shown)
    assert first.startswith("list.csv:4: ")
    assert second.startswith("list.csv:5: ")
    assert second.endswith(
        "is already in line 2; this row is left out (write a `key` if each row is a letter of its own)"
    )
    assert (found.survey.messages, found.plan.to_send) == (2, 2)
    assert found.errors == []


def test_two_letters_for_one_person_are_no_double(prepared: Prepare) -> None:
    """Each would be a letter of its own: the error says which `key` to write."""
    people = "email,first,invoice\nann@x.test,A,7\nben@x.test,B,8\nann@x.test,A,9\nben@x.test,B,8\n"
    body = "Hi {{ first }}, {% if invoice %}pay{% endif %}"
    found = prepared(people, body)
    assert [str(problem) for problem in found.errors] == [
        "list.csv:4: 'ann@x.test' is already in line 2, with another invoice; correct the list, or write"
        " `key: invoice` if each row is a letter of its own"
    ]
    assert (found.survey.doubles, found.survey.duplicates.count, found.plan.to_send) == (2, 1, 2)
    assert prepared(people, "Hi {{ first }}").errors == []
    assert prepared(people, body, recipients={"csv": "list.csv", "key": "invoice"}).errors == []


@pytest.mark.parametrize(
    "body",
    [
        "Invoice {{ invoice }}",
        "Invoice {{ row['invoice'] | default('') }}",
        "{% for column, cell in row.items() %}{{ cell }}{% endfor %}",
        "{% set what = 'invoice' %}{{ row[what] }}",
        "{% include 'part.txt' %}",
    ],
)
def test_whatever_way_a_column_is_shown(prepared: Prepare, body: str) -> None:
    Path("part.txt").write_text("{{ invoice }}")
    found = prepared("email,invoice\nann@x.test,7\nann@x.test,9\n", body)
    assert [problem.line for problem in found.errors] == [3]


@pytest.mark.parametrize("place", ["reply_to", "cc", "bcc", "headers", "unsubscribe", "name", "list_id"])
def test_wherever_a_column_is_shown(prepared: Prepare, place: str) -> None:
    values: dict[str, object] = {
        "reply_to": "{{ id }}@x.test",
        "cc": "{{ id }}@x.test",
        "bcc": "{{ id }}@x.test",
        "headers": {"X-Id": "{{ id }}"},
        "unsubscribe": {"url": "https://x.test/{{ id }}"},
        "list_id": "News <{{ id }}.x.test>",
    }
    given = (
        {"recipients": {"csv": "list.csv", "name": "{{ id }}"}} if place == "name" else {place: values[place]}
    )
    found = prepared("email,id\nann@x.test,7\nann@x.test,9\n", "Hi", **given)
    assert "with another id; " in str(found.errors[0])
    assert prepared("email,id\nann@x.test,7\nann@x.test,9\n", "Hi").errors == []


def test_the_column_that_attaches_is_the_one_to_write(prepared: Prepare) -> None:
    Path("7.pdf").write_text("7")
    people = "email,first,note,file\nann@x.test,A,x,7.pdf\nann@x.test,B,y,8.pdf\n"
    found = prepared(people, attachments=["{{ file }}"])
    (only,) = found.errors
    assert "with another first and file; " in str(only)
    assert "`key: file`" in str(only)


def test_one_key_of_two_people_is_an_error(prepared: Prepare) -> None:
    people = "email,first\nann@x.test,A\nben@x.test,A\n"
    found = prepared(people, recipients={"csv": "list.csv", "key": "first"})
    (only,) = found.errors
    assert str(only).startswith("list.csv:3: 'A' is already in line 2, with another email; ")
    assert "`key: [first, email]`" in str(only)


def test_one_key_of_two_people_whose_address_is_a_template(prepared: Prepare) -> None:
    people = "mail,first\nann@x.test,A\nben@x.test,A\n"
    found = prepared(people, recipients={"csv": "list.csv", "key": "first", "email": "{{ mail|trim }}"})
    (only,) = found.errors
    assert str(only).startswith("list.csv:3: 'A' is already in line 2, with another mail; ")
    assert prepared(people, recipients={"csv": "list.csv", "email": "{{ mail|trim }}"}).errors == []


def test_many_letters_are_counted(prepared: Prepare) -> None:
    found = prepared("email,first\n" + "".join(f"ann@x.test,{n}\n" for n in range(60)))
    assert len(found.errors) == 51
    assert "and 9 more bad rows" in str(found.errors[-1])
    assert found.plan.to_send == 1


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
    assert (column, found.survey.blank[column].rows.count, found.survey.blank[column].line) == ("first", 2, 3)


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
