"""A wrong key does not hide other errors in the list, the templates and the rows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from campaign.errors import Problem, UserError
from campaign.sending.preflight.inspection import inspect
from campaign.sending.preflight.reading import read, refuse_unsendable
from tests.folder import write_campaign

LIST = "email,name,plan\nann@example.com,Ann,pro\nnope,Bob,pro\ncy@example.com,Cy\n"
BAD_ROWS = [
    "list.csv:3: email: 'nope' has no @",
    "list.csv:4: the row has 2 cells, fewer than the header's 3",
]
NO_NAME = "body.txt:1: 'nobody' is not defined"


def written(folder: Path, **changes: Any) -> Path:
    """Write a campaign with two bad rows, whose body uses an unknown name."""
    return write_campaign(folder, {"list.csv": LIST, "body.txt": "Hi {{ nobody }}"}, **changes)


def told(problems: Iterable[Problem], folder: Path) -> list[str]:
    """Return the messages, without the name of the campaign file and the list's column names."""
    lines = (str(problem).replace(f"{folder}/", "") for problem in problems)
    return [
        re.sub(r"^spring.yaml:[0-9]+:[0-9]+: ", "", line).partition("; the list's columns")[0]
        for line in lines
    ]


def refused(file: Path) -> list[str]:
    """Return what both `check` and the commands that send report about a campaign file."""
    with pytest.raises(UserError) as caught:
        read(file)
    assert inspect(file, lambda *_: None).problems == caught.value.problems
    return told(caught.value.problems, file.parent)


@pytest.mark.parametrize(
    ("changes", "own"),
    [
        ({"nme": "x", "smtp": {"host": "h", "port": "p"}}, ["nme: unknown key", "smtp.port: expected"]),
        ({"from": "nobody", "subject": None, "name": None}, ["name: is", "subject", "from: 'nobody'"]),
        ({"attachments": ["gone.pdf"], "headers": {"Bcc": "x"}}, ["attachments", "headers.Bcc"]),
        ({"recipients": {"csv": "list.csv", "name": "{{ fist }}"}, "rate": "x"}, ["rate", "recipients.name"]),
        ({"templates": {"text": "body.txt", "html": "gone.html"}}, ["templates.html: there is no file"]),
    ],
)
def test_a_wrong_key_hides_no_errors_in_names_or_rows(
    changes: dict[str, Any], own: list[str], tmp_path: Path
) -> None:
    lines = refused(written(tmp_path, **changes))

    for words in own:
        assert any(line.startswith(words) for line in lines), lines
    assert lines[-3:] == [NO_NAME, *BAD_ROWS]


def test_a_subject_without_a_value_is_reported_as_missing(tmp_path: Path) -> None:
    file = written(tmp_path, subject=None, templates={"text": "body.txt", "subject": "gone.txt"})
    file.write_text(f"{file.read_text('utf-8')}subject:\n", "utf-8")

    own, *others = refused(file)
    assert own.startswith("templates.subject: there is no file")
    assert others == [NO_NAME, *BAD_ROWS]


@pytest.mark.parametrize(
    ("changes", "own"),
    [
        ({"templates": {"text": "gone.txt"}}, "templates.text: there is no file"),
        ({"unsubscribe": {"url": "x", "secret": "y"}}, "unsubscribe."),
        ({"vas": {"nobody": "x"}}, "vas: unknown key; did you mean 'vars'?"),
    ],
)
def test_consequences_of_a_wrong_key_are_not_reported(
    changes: dict[str, Any], own: str, tmp_path: Path
) -> None:
    lines = refused(written(tmp_path, **changes))

    assert all(line.startswith(own) for line in lines[:-2])
    assert lines[-2:] == BAD_ROWS


@pytest.mark.parametrize(
    "changes",
    [
        {"where": "plan == 'pro'"},
        {"recipients": {"csv": "list.csv", "emial": "name"}},
        {"recipients": {"csv": "list.csv", "key": 1, "name": ["{{ name }}"]}, "rate": "x"},
    ],
)
def test_a_list_with_wrong_settings_is_read_for_its_columns_only(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    lines = refused(written(tmp_path, **changes))

    assert [line for line in lines if line.startswith(("list.csv", "body"))] == [NO_NAME]


@pytest.mark.parametrize(
    "changes",
    [
        {"recipients": None},
        {"recipients": "gone.csv"},
        {"recipients": ["list.csv"]},
        {"recipients": {"csv": "list.csv", "delimeter": ";"}},
        {"recipients": {"csv": "list.csv", "encoding": 8, "where": 1}},
        {"recipients": {"email": "email"}, "encoding": "cp1252"},
        {"list.csv": ""},
        {"list.csv": "email,name\rann@example.com,Ann\nbob@example.com,Bob\n"},
        {"list.csv": "ann@example.com,Ann\n"},
        {"recipients": {"csv": "list.csv", "emial": "name"}, "list.csv": b"PK\x03\x04"},
    ],
)
def test_an_unreadable_list_hides_no_error_in_a_template(changes: dict[str, Any], tmp_path: Path) -> None:
    """Whether a name is one of its columns is unknown."""
    file = written(tmp_path, **{key: value for key, value in changes.items() if key != "list.csv"})
    (tmp_path / "body.txt").write_text("Hi {{ nobody }}, {{ row['None'] }}\n{{ email|nobodys }}\n")
    if "list.csv" in changes:
        given = changes["list.csv"]
        (tmp_path / "list.csv").write_bytes(given if isinstance(given, bytes) else given.encode())

    problems = inspect(file, lambda *_: None).problems

    own, templates = told(problems, tmp_path)[:-1], told(problems, tmp_path)[-1]
    assert own
    assert not any(line.startswith("body") for line in own)
    assert templates.startswith("body.txt:2: no filter is named 'nobodys'")


def test_with_wrong_vars_neither_list_nor_templates_are_checked(tmp_path: Path) -> None:
    settings = {"csv": "list.csv", "where": "year"}
    lines = refused(written(tmp_path, recipients=settings, vars={"campaign": "x"}))

    assert not any(line.startswith(("list.csv", "body")) for line in lines)


def test_bad_rows_are_reported_along_with_a_var_that_is_also_a_column(tmp_path: Path) -> None:
    file = written(tmp_path, vars={"plan": "x"})

    lines = told(inspect(file, lambda *_: None).problems, tmp_path)

    assert lines[0].startswith("vars.plan: the list has a column 'plan' too")
    assert lines[1:] == [NO_NAME, *BAD_ROWS]


@pytest.mark.parametrize("command", ["check", "send"])
def test_reasons_not_to_send_are_reported_along_with_other_errors(command: str, tmp_path: Path) -> None:
    file = written(tmp_path, rate="1/hour", cc="copy@example.com", templates={"text": "good.txt"})
    (tmp_path / "good.txt").write_text("Hi")
    if command == "check":
        problems = inspect(file, lambda *_: None).problems[:3]
    else:
        with pytest.raises(UserError) as caught:
            refuse_unsendable(read(file), lambda *_: None, 1)
        problems = caught.value.problems

    lines = told(problems, tmp_path)

    assert lines[0].startswith("rate: 1/hour is too narrow")
    assert lines[1:] == BAD_ROWS


@pytest.mark.parametrize(
    ("smtp", "what"),
    [
        ({"ca_file": "blank.pem"}, "smtp.ca_file: blank.pem (`smtp.ca_file`) contains no certificate"),
        ({"client_cert": "blank.pem"}, "smtp.client_cert: blank.pem"),
    ],
)
def test_certificates_that_cannot_be_used(smtp: dict[str, str], what: str, tmp_path: Path) -> None:
    file = written(tmp_path, smtp={"host": "localhost", **smtp})
    (tmp_path / "blank.pem").touch()

    first, *others = told(inspect(file, lambda *_: None).problems, tmp_path)

    assert first.startswith(what)
    assert others == [NO_NAME, *BAD_ROWS]


@pytest.mark.parametrize("where", ["ledger", "password"])
def test_a_link_that_leads_to_itself_hides_nothing(where: str, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    smtp = {
        "host": "localhost",
        **({"username": "news", "password_file": "loop"} if where == "password" else {}),
    }
    file = written(tmp_path, smtp=smtp, **({"ledger": "loop"} if where == "ledger" else {}))

    assert told(inspect(file, lambda *_: None).problems, tmp_path)[-2:] == BAD_ROWS


def test_with_a_wrong_where_only_unreadable_rows_are_reported(tmp_path: Path) -> None:
    """A row with a wrong address may be one that `where` leaves out."""
    file = written(tmp_path, recipients={"csv": "list.csv", "where": "pln == 'pro'"})

    lines = told(inspect(file, lambda *_: None).problems, tmp_path)

    assert lines[0].startswith("recipients.where: 'pln' is not defined")
    assert lines[1:] == [NO_NAME, BAD_ROWS[1]]


def test_rows_are_not_rendered_if_a_key_is_wrong(tmp_path: Path) -> None:
    """Its rows are read and the templates compiled; rendering a million rows would take minutes."""
    rows = [f"person{number}@example.com,{'x' * 40},pro\n" for number in range(40_000)]
    body = "{{ plan.upper() / 0 }} {{ nobody }}"
    files = {"list.csv": "".join(["email,name,plan\n", "nope,Bob,pro\n", *rows]), "body.txt": body}
    with pytest.raises(UserError) as caught:
        read(write_campaign(tmp_path, files, nme="x"))
    said = told(caught.value.problems, tmp_path)
    assert [line.partition(";")[0] for line in said] == [
        "nme: unknown key",
        "body.txt:1: 'nobody' is not defined",
        "list.csv:2: email: 'nope' has no @",
    ]
