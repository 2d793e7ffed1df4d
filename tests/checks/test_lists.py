"""What rules find in a list: slips in addresses, roles, and a domain with an unusual share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openpyxl
import pytest

from campaign.checks.mailboxes import FREE
from campaign.checks.rules.typos import meant_by
from campaign.cli import main
from tests.checks.conftest import Found, Said
from tests.folder import write_campaign


@pytest.mark.parametrize(
    ("domain", "meant"),
    [
        ("gmial.com", "gmail.com"),
        ("gmal.com", "gmail.com"),
        ("gmaill.com", "gmail.com"),
        ("gmail.con", "gmail.com"),
        ("gmail.co", "gmail.com"),
        ("gmail.cm", "gmail.com"),
        ("gmial.con", "gmail.com"),
        ("hotmial.com", "hotmail.com"),
        ("hotmail.con", "hotmail.com"),
        ("yahooo.com", "yahoo.com"),
        ("yaho.com", "yahoo.com"),
        ("outlok.com", "outlook.com"),
        ("iclod.com", "icloud.com"),
        ("googlemial.com", "googlemail.com"),
        ("t-onlin.de", "t-online.de"),
        ("wrenfield.con", "wrenfield.com"),
        ("gmx.dee", "gmx.de"),
    ],
)
def test_a_slip(domain: str, meant: str) -> None:
    assert meant_by(domain) == meant


@pytest.mark.parametrize(
    "domain",
    [
        "mail.com", "ymail.com", "email.com", "gmx.com", "yahoo.com.mx", "hotmail.se", "outlook.jp",
        "live.com.au",
        "wrenfield.org", "x.test", "fmail.example.org", "company.co", "company.cm", "inbox.lv", "web.de",
        "well.com",
        "orange.pl", "free.it", "gmail.example", "online.no",
    ],
)  # fmt: skip
def test_no_slip(domain: str) -> None:
    assert meant_by(domain) == ""


def test_no_provider_is_another_one_s_slip() -> None:
    assert [domain for domain in FREE if meant_by(domain)] == []


def test_slips_are_said_once_for_a_domain(found: Found) -> None:
    people = "email,first\n" + "".join(f"p{n}@{'gmial.com' if n % 2 else 'x.test'},P\n" for n in range(6))
    (only,) = found("typos", people)
    assert only.message == "gmial.com may be a typo for gmail.com (rows 2, 4, 6)"
    assert (only.severity, only.file, only.line) == ("note", "list.csv", 3)
    assert found("typos") == []


@pytest.mark.parametrize(
    ("domain", "what"),
    [
        (
            "gm\u0430il.com",
            "gm\u0430il.com (xn--gmil-63d.com) has Cyrillic and Latin letters in one name (row 2)",
        ),
        ("\u03c0aypal.com", "Greek and Latin"),
        ("\u043f\u043e\u0447\u0442\u0430.com", ""),
        ("b\u00fccher.de", ""),
        ("\u65e5\u672clab.jp", ""),
    ],
)
def test_letters_of_two_alphabets_in_a_domain(found: Found, domain: str, what: str) -> None:
    said = found("typos", f"email,first\nann@x.test,A\nben@{domain},B\n")
    assert [one.severity for one in said] == ["warning"] * bool(what)
    assert all(what in one.message for one in said)


def test_roles(found: Found) -> None:
    people = "email,first\ninfo@x.test,A\ninfo@y.test,B\noffice@x.test,C\nann@x.test,D\nNoReply@x.test,E\n"
    nobody, others = found("roles", people)
    assert nobody.message == "nobody reads mail to noreply@ (1)"
    assert others.message == "3 addresses belong to roles, not to a person: info@ (2), office@ (1)"
    assert {nobody.severity, others.severity} == {"note"}
    assert found("roles") == []


def test_a_domain_with_an_unusual_share(said: Said) -> None:
    def people(domain: str, share: int) -> str:
        rows = (f"p{n}@{domain if n < share else f'd{n}.test'},P\n" for n in range(100))
        return "email,first\n" + "".join(rows)

    (only,) = said("shares", people("bigfirm.com", 40))
    assert only.startswith("list.csv: note: 40 % of the messages (40) go to bigfirm.com")
    assert said("shares", people("bigfirm.com", 20)) == []
    assert said("shares", people("gmail.com", 90)) == []
    assert said("shares", people("staff.wrenfield.org", 90)) == []
    assert said("shares", "email,first\n" + "".join(f"p{n}@bigfirm.com,P\n" for n in range(50))) == []


@pytest.mark.parametrize(
    ("hidden", "where", "told"),
    [
        ((), None, ""),
        ((3,), None, "list.xlsx: warning: 1 row is hidden in the sheet and gets mail too; delete it"),
        (
            (2, 4),
            None,
            "list.xlsx: warning: 2 rows are hidden in the sheet and get mail too; delete them",
        ),
        ((2, 4), "first != 'Ben'", ""),
    ],
)
def test_rows_that_a_filter_hides(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    hidden: tuple[int, ...],
    where: str | None,
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in (("email", "first"), ("ann@x.test", "Ann"), ("ben@x.test", "Ben"), ("eve@x.test", "Eve")):
        book.active.append(row)
    for line in hidden:
        book.active.row_dimensions[line].hidden = True
    book.save("list.xlsx")
    recipients = {"csv": "list.xlsx", **({"where": where} if where else {})}
    values: dict[str, Any] = {"recipients": recipients, "templates": {"text": "body.txt"}}
    file = write_campaign(Path(), {"body.txt": "Hi {{ first }}"}, **values)
    assert main(["check", str(file)]) == 0
    said = capsys.readouterr()
    assert told in said.out + said.err
    assert told or "hidden" not in said.out + said.err
