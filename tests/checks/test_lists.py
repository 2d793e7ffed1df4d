"""What rules find in a list: slips in addresses, roles, and a domain with an unusual share."""

from __future__ import annotations

import pytest

from campaign.checks.mailboxes import FREE
from campaign.checks.rules.typos import meant_by
from tests.checks.conftest import Found, Said


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
    assert only.message == "gmial.com may be meant to be gmail.com (rows 2, 4, 6)"
    assert (only.severity, only.file, only.line) == ("note", "list.csv", 3)
    assert found("typos") == []


def test_roles(found: Found) -> None:
    people = "email,first\ninfo@x.test,A\ninfo@y.test,B\noffice@x.test,C\nann@x.test,D\nNoReply@x.test,E\n"
    nobody, others = found("roles", people)
    assert nobody.message == "nobody reads mail to noreply@ (1)"
    assert others.message == "3 addresses are roles' and not a person's: info@ (2), office@ (1)"
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
    ("cell", "what"),
    [
        ("JÃ¶rg", "first has 'JÃ¶rg' for 'Jörg': UTF-8 that was read as another encoding"),
        ("GarcÃ\xada", "for 'García'"),
        ("FranÃ§ois Dâ€™Arc", "'FranÃ§ois' for 'François'"),
        ("Dâ€™Arc", "for 'D’Arc'"),
        ("Ã“scar", "for 'Óscar'"),
        ("Ã\x81lvaro", "for 'Álvaro'"),
        ("Å\xa0imon Å¾", "for 'Šimon'"),
        ("ÐŸÑ€Ð¸Ð²ÐµÑ‚", "for 'Привет'"),
        ("æ—¥æœ¬", "for '日本'"),
        ("Ann ðŸ˜€", "for '😀'"),
        ("10 â‚¬", "for '€'"),
        ("J√∂rg", "for 'Jörg'"),
        ("J�rg", "first has 'J�rg': a character was lost on the way; export the list again, as UTF-8"),
        ("Ann\u202egpj.exe", "first has U+202E: text reads in another direction behind it"),
    ],
)
def test_garbled(said: Said, cell: str, what: str) -> None:
    (only,) = said("garbled", f"email,first,other\nann@x.test,Ann,{cell}\nben@x.test,{cell},Ben\n")
    assert only.startswith("list.csv:3: warning: first has ")
    assert what in only
    assert only.endswith("(row 2)")


@pytest.mark.parametrize(
    "cell",
    [
        "Jörg",
        "„Spaß“",
        "CAFÉ™",
        "AMANHÃ”",
        "IRMÃ… E",
        "né…”",
        "È»",
        "Â",
        "ÎLE",
        "À »",
        "日本",
        "אב\u200e",
        "√2",
        "Đà",
    ],
)
def test_what_is_not_garbled(said: Said, cell: str) -> None:
    assert said("garbled", f"email,first\nann@x.test,{cell}\n", text=f"{{{{ first }}}} {cell}") == []


def test_garbled_templates_and_names(said: Said) -> None:
    (only,) = said("garbled", text="Hi {{ first }}\nyou donâ€™t\n")
    assert (
        only
        == "body.txt:2: warning: here stands 'donâ€™t' for 'don’t': UTF-8 that was read as another encoding"
    )
    (only,) = said("garbled", html="<p>\n<b>5&nbsp;�</b>")
    assert only.startswith("body.html:2: warning: here stands ")
    people = "email,first,who\nann@x.test,Ann,JÃ¶rg\n"
    (only,) = said("garbled", people, recipients={"csv": "list.csv", "name": "{{ who }}"})
    assert only.startswith("list.csv:2: warning: who has 'JÃ¶rg' for 'Jörg'")
