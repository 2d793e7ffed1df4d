"""Each rule of `campaign check`: a case in which it speaks, and one in which it is silent."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from campaign.campaignfile.load import load
from campaign.checks.clipped import MOST as CLIPPED
from campaign.checks.rules import RULES, warnings
from campaign.checks.size import MOST as LARGE
from campaign.errors import Severity
from campaign.ledger import Ledger
from campaign.message.tokens import Secrets
from campaign.preparation import prepare
from tests.folder import write_campaign

Said = Callable[..., list[str]]
PEOPLE = "email,first,First Name,row,file\nann@x.test,Ann,Ann,1,a.pdf\nben@x.test,Ben,Ben,2,a.pdf\n"
MANY = "email,first\n" + "".join(f"p{n}@x.test,P\n" for n in range(100))


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Said:
    monkeypatch.chdir(tmp_path)

    def said(
        rule: str, people: str = PEOPLE, text: str = "Hi {{ first }}", html: str = "", **values: Any
    ) -> list[str]:
        files = {"list.csv": people, "body.txt": text, "body.html": html}
        parts = {"text": "body.txt", **({"html": "body.html"} if html else {})}
        made = {
            "from": "news@wrenfield.org",
            "templates": parts,
            "smtp": {"host": "smtp.wrenfield.org"},
            **values,
        }
        campaign = load(write_campaign(Path(), files, **made))
        ledger = Ledger.temporary(campaign.name)
        try:
            found = list(warnings(prepare(campaign, ledger.enrolment(), Secrets.placeholder())))
        finally:
            ledger.close()
        assert all(problem.severity is Severity.WARNING for problem in found)
        assert all(problem.rule in (*RULES, "columns") for problem in found)
        return [str(problem) for problem in found if problem.rule == rule]

    return said


def test_every_rule_says_what_it_is_for() -> None:
    folder = Path(import_module("campaign.checks").__file__ or "").parent
    assert {path.stem for path in folder.glob("*.py")} - {"__init__", "checked", "rules"} == set(RULES)
    for rule in RULES:
        assert import_module(f"campaign.checks.{rule}").__doc__


def test_columns(said: Said) -> None:
    assert said("columns") == [
        "list.csv:1: warning: the column 'row' has a name that is ours; in templates write row['row']"
    ]
    assert said("columns", "email,first\nann@x.test,Ann\n") == []


def test_nobody(said: Said) -> None:
    (only,) = said("nobody", recipients={"csv": "list.csv", "where": "first == 'ann'"})
    assert only.startswith("spring.yaml:")
    assert "recipients.where: matches nobody: it leaves out all of the list's 2 rows" in only
    assert said("nobody", "email,first\n") == [
        "list.csv: warning: the list has a header and no rows: nobody is mailed"
    ]
    assert said("nobody", recipients={"csv": "list.csv", "where": "first == 'Ann'"}) == []


def test_duplicates(said: Said) -> None:
    twice = "email,first\nann@x.test,A\nAnn@x.test,A\n"
    (only,) = said("duplicates", twice)
    assert only.startswith("list.csv:3: warning: ")
    assert only.endswith(" stands in line 2 already; this row is left out")
    assert said("duplicates") == []
    many = said("duplicates", "email,first\n" + "ann@x.test,A\n" * 53)
    assert len(many) == 51
    assert many[-1] == "list.csv: warning: and 2 more rows whose key stands above already"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("{{ first }}", "first"),
        ("{{ row['First Name'] }}", "row['First Name']"),
        ("{{ row['row'] }}", "row['row']"),
    ],
)
def test_blank(said: Said, text: str, name: str) -> None:
    people = "email,first,First Name,row\nann@x.test,A,A,A\nben@x.test,,,\n"
    column = {"row['First Name']": "First Name", "row['row']": "row"}.get(name, name)
    assert said("blank", people, text) == [
        f"list.csv:3: warning: {column} is blank in 1 row, and a template prints it (body.txt:1);"
        f" write {{{{ {name} or '…' }}}}"
    ]
    assert said("blank", people, text.replace(" }}", " or 'you' }}")) == []
    assert said("blank", text=text) == []


def test_blank_counts_rows(said: Said) -> None:
    (only,) = said("blank", "email,first\n" + "".join(f"p{n}@x.test,\n" for n in range(3)))
    assert only.startswith("list.csv:2: warning: first is blank in 3 rows, and")


def test_subject(said: Said) -> None:
    people = "email,first\nann@x.test,A\nben@x.test,\n"
    assert said("subject", people, "Hi", subject="{{ first }}") == [
        "list.csv:3: warning: the subject is blank in 1 message, the first of them for this row"
    ]
    assert said("subject", people, "Hi", subject="{{ first or 'News' }}") == []


@pytest.mark.parametrize(("text", "html"), [("{{ '{{' }} name", ""), ("Hi", "<p>{{ '{%' }} if %}")])
def test_leftovers(said: Said, text: str, html: str) -> None:
    (only,) = said("leftovers", text=text, html=html)
    kind = "html" if html else "text"
    assert only.startswith(
        f"spring.yaml:6:3: warning: templates: the {kind} part shows {{{{ or {{% to its reader"
    )
    assert said("leftovers", html="<p>Hi {{ first }} { a }") == []


def test_leftovers_of_nothing(said: Said) -> None:
    (only,) = said("leftovers", text="{% if first == 'x' %}Hi{% endif %}\n")
    assert only.endswith("templates: the text part is blank")


@pytest.mark.parametrize(
    "html",
    [
        "<td style=\"background: url('bg.png')\">",
        "<style>@media (min-width: 1px) { p { background: url(bg.png) } }</style><p>",
        '<td style="background:url(&quot;bg.png&quot;)">',
        '<img src="https://x.test/a.png" srcset="bg.png 2x">',
    ],
)
def test_images(said: Said, html: str) -> None:
    (only,) = said("images", html=html)
    assert "templates: 'bg.png' is shown by a style or a srcset, which cannot bring a file along" in only
    assert said("images", html=html.replace("bg.png", "https://x.test/bg.png")) == []


@pytest.mark.parametrize(
    ("sender", "host", "what"),
    [
        ("me@gmail.com", "smtp.wrenfield.org", "receivers refuse mail from gmail.com that another server"),
        ("Me <me@yahoo.com>", "smtp.notyahoo.com", "receivers refuse mail from yahoo.com"),
        ("{{ first|lower }}@web.de", "smtp.wrenfield.org", "receivers refuse mail from web.de"),
        ("news@example.com", "smtp.wrenfield.org", "example.com is a domain for examples; write your own"),
        ("news@mail.test", "smtp.wrenfield.org", "mail.test is a domain for examples"),
    ],
    ids=range(5),
)
def test_sender(said: Said, sender: str, host: str, what: str) -> None:
    (only,) = said("sender", smtp={"host": host}, **{"from": sender})
    assert only.startswith(f"spring.yaml:3:7: warning: from: {what}")


@pytest.mark.parametrize(
    ("sender", "host"),
    [
        ("news@wrenfield.org", "smtp.gmail.com"),
        ("me@gmail.com", "smtp.gmail.com"),
        ("me@googlemail.com", "smtp.googlemail.com"),
        ("me@outlook.com", "smtp-mail.outlook.com"),
        ("me@hotmail.com", "smtp.office365.com"),
        ("me@gmx.de", "mail.gmx.net"),
        ("me@icloud.com", "smtp.mail.me.com"),
        ("news@example.com", "localhost"),
        ("news@example.com.wrenfield.org", "smtp.wrenfield.org"),
    ],
)
def test_sender_that_is_believed(said: Said, sender: str, host: str) -> None:
    assert said("sender", smtp={"host": host}, **{"from": sender}) == []


@pytest.mark.parametrize(
    ("people", "unsubscribe", "what"),
    [
        (MANY, None, "there is no `unsubscribe`: receivers ask it of mail to many; add url or mailto"),
        (PEOPLE, {"url": "https://x.test/u"}, "unsubscribe: add `one_click: true` if the page takes a POST"),
        (MANY, {"mailto": "out@x.test"}, "unsubscribe: add `url` with `one_click: true`: Gmail and Yahoo"),
    ],
    ids=range(3),
)
def test_unsubscribe(said: Said, people: str, unsubscribe: dict[str, object] | None, what: str) -> None:
    (only,) = said("unsubscribe", people, **({"unsubscribe": unsubscribe} if unsubscribe else {}))
    assert what in only


@pytest.mark.parametrize(
    ("people", "unsubscribe"),
    [
        (PEOPLE, None),
        (MANY, {"url": "https://x.test/u", "one_click": True}),
        (PEOPLE, {"url": "http://x.test/u"}),
        (PEOPLE, {"mailto": "out@x.test"}),
    ],
    ids=range(4),
)
def test_unsubscribe_that_is_enough(said: Said, people: str, unsubscribe: dict[str, object] | None) -> None:
    assert said("unsubscribe", people, **({"unsubscribe": unsubscribe} if unsubscribe else {})) == []


@pytest.mark.parametrize(
    ("host", "rate", "what"),
    [
        (
            "smtp.gmail.com",
            None,
            "smtp.host: smtp.gmail.com limits its users, and no rate is given; write rate: 500",
        ),
        (
            "email-smtp.eu-west-1.amazonaws.com",
            None,
            "write the rate and the daily quota of your SES account",
        ),
        ("smtp.gmail.com", "14/second", "smtp.rate: smtp.gmail.com takes 2000/day, which this rate exceeds"),
        ("smtp.office365.com", "10000/day", "smtp.rate: smtp.office365.com takes 30/minute, which this rate"),
    ],
    ids=range(4),
)
def test_provider(said: Said, host: str, rate: str | None, what: str) -> None:
    (only,) = said("provider", smtp={"host": host, **({"rate": rate} if rate else {})})
    assert what in only


@pytest.mark.parametrize(
    ("host", "rate"),
    [
        ("smtp.wrenfield.org", None),
        ("notsmtp.gmail.com.wrenfield.org", None),
        ("smtp.gmail.com", "500/day"),
        ("smtp.gmail.com", "1/minute"),
        ("smtp.office365.com", ["30/minute", "10000/day"]),
        ("email-smtp.eu-west-1.amazonaws.com", "14/second"),
    ],
)
def test_provider_whose_limit_is_kept(said: Said, host: str, rate: object) -> None:
    assert said("provider", smtp={"host": host, **({"rate": rate} if rate else {})}) == []


@pytest.mark.parametrize(
    ("attachment", "what"),
    [
        ("a.EXE", "attachments, entry 1: many receivers refuse .exe files; send a link to it"),
        ({"path": "a.pdf", "name": "a.js"}, "attachments, entry 1: many receivers refuse .js files"),
        (
            {"path": "a.pdf", "name": "Invoice {{ row['row'] }}"},
            "attachments, entry 1, name: the name does not end in .pdf",
        ),
        (
            {"path": "a.pdf", "name": "No. 7"},
            "attachments, entry 1, name: the name does not end in .pdf as the file's does",
        ),
    ],
    ids=range(4),
)
def test_attachments(said: Said, attachment: object, what: str) -> None:
    for name in ("a.EXE", "a.pdf"):
        Path(name).write_text("x")
    (only,) = said("attachments", attachments=[attachment])
    assert what in only


@pytest.mark.parametrize(
    "attachment",
    [
        "a.pdf",
        {"path": "a.pdf", "name": "Invoice {{ first }}.PDF"},
        {"path": "{{ file }}", "name": "{{ file }}"},
    ],
    ids=range(3),
)
def test_attachments_that_arrive(said: Said, attachment: object) -> None:
    Path("a.pdf").write_text("x")
    assert said("attachments", attachments=[attachment]) == []


def test_size(said: Said) -> None:
    Path("a.bin").write_bytes(b"x" * (LARGE * 3 // 4))
    (only,) = said("size", attachments=["a.bin"])
    assert "attachments: the largest message has 10.3 MB, and many receivers refuse more than 10" in only
    assert said("size") == []


def test_clipped(said: Said) -> None:
    (only,) = said("clipped", html="<p>" + "x" * CLIPPED)
    assert "templates: the HTML has 102 KB; Gmail hides what follows 102 KB" in only
    assert said("clipped", html="<p>" + "x" * (CLIPPED // 2)) == []


def test_a_list_of_nobody_has_no_first_message(said: Said) -> None:
    for rule in RULES:
        said(rule, "email,first\n")


def test_attachments_that_a_row_does_not_name(said: Said) -> None:
    people = "email,file,other\nann@x.test,a.pdf,\nben@x.test,,\ncat@x.test, ,\n"
    Path("a.pdf").write_bytes(b"%PDF")
    assert said("attachments", people, "Hi", attachments=["a.pdf", "{{ file }}"]) == [
        "list.csv:3: warning: file is blank in 2 rows, and attachments.1 is named by it: their mail goes"
        " without the file; if that is meant, write {% if … %} around the path"
    ]
    assert said("attachments", people, "Hi", attachments=["{% if file %}{{ file }}{% endif %}"]) == []
    assert said("attachments", people, "Hi", attachments=["{{ file or 'a.pdf' }}"]) == []
    # A path that is not blank without it is an error of the row, and no warning.
    assert said("attachments", people, "Hi", attachments=["{{ file }}.pdf"]) == []
