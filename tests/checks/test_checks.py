"""Each rule of `campaign check`: a case in which it speaks, and one in which it is silent."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from campaign.campaignfile.rulenames import RULES
from campaign.checks.rule import MOST_FOUND
from campaign.checks.rules.clipped import MOST as CLIPPED
from campaign.checks.rules.size import MOST as LARGE
from campaign.checks.running import documentation
from campaign.errors import Rows, UserError
from tests.checks.conftest import PEOPLE, Found, Said

MANY = "email,first\n" + "".join(f"p{n}@x.test,P\n" for n in range(100))


def test_every_rule_says_what_it_is_for() -> None:
    folder = Path(import_module("campaign.checks.rules").__file__ or "").parent
    files = {path.stem for path in folder.glob("*.py") if "class Check(Rule)" in path.read_text("utf-8")}
    assert files == set(RULES)
    for rule in RULES:
        assert documentation(rule)


def test_a_rule_is_ignored(found: Found) -> None:
    assert len(found("leftovers", text="{{ '{{' }}")) == 1
    assert found("leftovers", text="{{ '{{' }}", check={"ignore": ["leftovers"]}) == []
    assert found("columns", check={"ignore": "columns"}) == []


def test_an_unknown_rule_is_an_error(found: Found) -> None:
    with pytest.raises(UserError) as caught:
        found("links", check={"ignore": ["leftover", "xyz"]})
    assert [problem.message for problem in caught.value.problems] == [
        "there is no rule 'leftover'; did you mean 'leftovers'?",
        "there is no rule 'xyz'; `campaign guide checks` lists them",
    ]


def test_rows_that_have_it(found: Found) -> None:
    people = "email,first\n" + "".join(f"p{n}@x.test,{'{{' if n in (1, 2, 5) else 'x'}\n" for n in range(6))
    (only,) = found("leftovers", people)
    assert only.message.endswith(" (rows 2–3, 6)")
    assert only.rows == Rows(3, ((2, 3), (6, 6)))
    (only,) = found("leftovers", people, text="{{ '{{' }}")
    assert only.rows == Rows(6, ((1, 6),))
    assert only.message.endswith("look at a preview")


def test_findings_are_kept_up_to_a_number(found: Found) -> None:
    people = "email,first\n" + "".join(f"p{n}@x.test,http://localhost/{n}\n" for n in range(40))
    many = found("images", people, html='<img src="{{ first }}" alt="" width="2">')
    assert len(many) == MOST_FOUND + 1
    assert many[-1].message == "and 10 more of this kind"


def test_columns(said: Said) -> None:
    assert said("columns") == [
        "list.csv:1: warning: the column 'row' has a reserved name; in templates write row['row']"
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
    assert only.endswith(
        " is already in line 2; this row is left out (write a `key` if each row is a letter of its own)"
    )
    assert said("duplicates") == []
    many = said("duplicates", "email,first\n" + "ann@x.test,A\n" * 53)
    assert len(many) == 51
    assert many[-1] == "list.csv: warning: and 2 more rows with the key of an earlier row"


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


@pytest.mark.parametrize(
    "text",
    [
        "{% if x %}{{ first }}{% endif %}",
        "{% if x == 'a' %}a{% elif x == 'b' %}{{ first }}{% else %}c{% endif %}",
        "{{ first if x else 'you' }}",
        "{% if row['x'] %}{% for a in 'ab' %}{{ first }}{% endfor %}{% endif %}",
    ],
)
def test_a_blank_cell_that_another_cell_guards_may_be_meant(said: Said, text: str) -> None:
    people = "email,first,x\nann@x.test,Ann,a\nben@x.test,,\n"
    assert said("blank", people, text) == []
    (only,) = said("blank", people, text + "{{ first }}")
    assert "first is blank in 1 row" in only


@pytest.mark.parametrize(
    "text",
    [
        "{% if x %}{{ first }}{% else %}Hi {{ first }}{% endif %}",
        "{% if kind %}{{ first }}{% endif %}",  # one of the vars, which is the same in every row
        "{% if x %}{% endif %}{{ first }}",
    ],
)
def test_a_blank_cell_that_is_printed_all_the_same(said: Said, text: str) -> None:
    people = "email,first,x\nann@x.test,Ann,a\nben@x.test,,\n"
    assert len(said("blank", people, text, vars={"kind": "a"})) == 1


def test_blank_names_its_rows(found: Found) -> None:
    (only,) = found("blank", "email,first\n" + "".join(f"p{n}@x.test,\n" for n in range(3)))
    assert only.rows == Rows(3, ((1, 3),))


def test_blank_counts_rows(said: Said) -> None:
    (only,) = said("blank", "email,first\n" + "".join(f"p{n}@x.test,\n" for n in range(3)))
    assert only.startswith("list.csv:2: warning: first is blank in 3 rows, and")


def test_subject(said: Said) -> None:
    people = "email,first\nann@x.test,A\nben@x.test,\n"
    assert said("subject", people, "Hi", subject="{{ first }}") == [
        "spring.yaml:4:10: warning: subject: the subject is blank (row 2)"
    ]
    assert said("subject", people, "Hi", subject="{{ first or 'News' }}") == []


@pytest.mark.parametrize(
    ("subject", "what"),
    [
        ("x" * 71, "note: subject: the subject is longer than 70 characters"),
        ("ä" * 71, "note: subject: the subject is longer than 70 characters"),
        ("first", "the subject is 'first', a column's name; to show the column, write {{ first }}"),
        ("First Name", "write {{ row['First Name'] }}"),
        (
            "“News for {{ first }}”",
            "the quotes around the subject are mailed with it; YAML's own are \" and '",
        ),
        ("„Neues“", "the quotes around the subject are mailed with it"),
        ("‘News’", "the quotes around the subject are mailed with it"),
        ("LAST CHANCE TO BUY", "warning: subject: the subject is all in capitals, like spam"),
        ("{{ first|upper }}: LAST CHANCE", "all in capitals"),
    ],
)
def test_a_subject_that_is_long_or_loud(said: Said, subject: str, what: str) -> None:
    (only,) = said("subject", subject=subject)
    assert what in only


@pytest.mark.parametrize(
    "subject",
    [
        "x" * 70,
        "NEWS",
        "IKEA FAMILY 2027: new",
        "ニュース" * 5,
        "PSD2：新しいお知らせのご案内",
        "“A” and “B”",
        "“A”, he said",
    ],
)
def test_a_subject_that_is_neither(said: Said, subject: str) -> None:
    assert said("subject", subject=subject) == []


@pytest.mark.parametrize(("text", "html"), [("{{ '{{' }} name", ""), ("Hi", "<p>{{ '{%' }} if %}")])
def test_leftovers(said: Said, text: str, html: str) -> None:
    (only,) = said("leftovers", text=text, html=html)
    kind = "html" if html else "text"
    file = "body.html" if html else "body.txt"
    assert only.startswith(f"{file}: warning: the {kind} part shows {{{{ or {{% to the reader")
    assert said("leftovers", html="<p>Hi {{ first }} { a }") == []


def test_leftovers_of_constants(said: Said) -> None:
    constants = {"day": "28 {{ month }}", "others": ["a"]}
    first, second = said("leftovers", text="{{ day }}", vars=constants)
    assert "vars.day: `vars` are no templates, and this is mailed as it is" in first
    assert second.startswith("body.txt: warning: the text part shows {{")
    assert said("leftovers", vars=constants) == []


def test_leftovers_of_nothing(said: Said) -> None:
    (only,) = said("leftovers", text="{% if first == 'x' %}Hi{% endif %}\n")
    assert only == "body.txt: warning: the text part is blank"


@pytest.mark.parametrize(
    "html",
    [
        "<td style=\"background: url('bg.png')\">",
        "<style>@media (min-width: 1px) { p { background: url(bg.png) } }</style><p>",
        '<td style="background:url(&quot;bg.png&quot;)">',
        '<img src="https://x.test/a.png" srcset="bg.png 2x" alt="" width="9">',
    ],
)
def test_images(said: Said, html: str) -> None:
    (only,) = said("images", html=html)
    assert "body.html:1: warning: 'bg.png' is in a style or a srcset, where files are not embedded" in only
    assert said("images", html=html.replace("bg.png", "https://x.test/bg.png")) == []


PIXEL = bytes.fromhex("89504e470d0a1a0a")


@pytest.mark.parametrize(
    ("image", "severity", "what"),
    [
        ('src="https://x.test/a.png" width="9"', "warning", "has no alt: nothing is shown instead"),
        ('src="a.png" width="9"', "warning", "an image has no alt"),
        ('src="https://x.test/a.png" alt="A"', "note", "has no width: Outlook"),
        ('src="http://localhost:8080/a.png" alt="" width="9"', "error", "is on this machine"),
        ('src="//127.0.0.1/a.png" alt="" width="9"', "error", "is on this machine"),
        ('src="file:///home/me/a.png" alt="" width="9"', "error", "is on this machine"),
        ('src="data:image/png;base64,AAAA" alt="" width="9"', "warning", "Gmail and Outlook do not show it"),
        ('src="cid:logo" alt="" width="9"', "error", "the message has no image 'cid:logo'"),
        ('src="" alt="" width="9"', "warning", "an image has no address"),
    ],
)
def test_an_image_that_is_not_seen(found: Found, image: str, severity: str, what: str) -> None:
    Path("a.png").write_bytes(PIXEL)
    (only,) = found("images", html=f"<p>\n<img {image}>")
    assert what in only.message
    assert only.severity == severity
    assert (only.file, only.line) == ("body.html", 2 if 'src=""' not in image else None)


@pytest.mark.parametrize(
    "image",
    [
        '<img src="https://x.test/localhost.png" alt="" width=100>',
        '<img src="a.png" alt="A" style="width: 50px">',
        '<img src="https://x.test/open?id=1" width="1" height="1">',
        '<!--[if mso]><img src="cid:other"><![endif]-->',
        '<p title="<img src=https://x.test/>">x</p>',
        '<img src="https://localhost.example.org/a.png" alt="" height=1>',
    ],
)
def test_an_image_that_is_seen(found: Found, image: str) -> None:
    Path("a.png").write_bytes(PIXEL)
    assert found("images", html=image) == []


def test_images_that_are_heavy(found: Found) -> None:
    Path("a.png").write_bytes(PIXEL + bytes(1_100_000))
    (only,) = found("images", html='<img src="a.png" alt="A" width="9">')
    assert "the images have 1.1 MB in total" in only.message
    Path("a.png").write_bytes(PIXEL + bytes(900_000))
    assert found("images", html='<img src="a.png" alt="A" width="9">') == []


@pytest.mark.parametrize(
    ("sender", "host", "what"),
    [
        ("me@gmail.com", "smtp.wrenfield.org", "receivers refuse mail from gmail.com that another server"),
        ("Me <me@yahoo.com>", "smtp.notyahoo.com", "receivers refuse mail from yahoo.com"),
        ("{{ first|lower }}@web.de", "smtp.wrenfield.org", "receivers refuse mail from web.de"),
        ("news@freenet.de", "smtp.wrenfield.org", "freenet.de is a free mailbox provider, and another"),
        ("news@example.com", "smtp.wrenfield.org", "example.com is a domain for examples; write your own"),
        ("news@mail.test", "smtp.wrenfield.org", "mail.test is a domain for examples"),
    ],
    ids=range(6),
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
        ("me@freenet.de", "mx.freenet.de"),
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
        (MANY, None, "there is no `unsubscribe`: receivers require it of bulk mail; add url or mailto"),
        (
            PEOPLE,
            {"url": "https://x.test/u"},
            "unsubscribe: add `one_click: true` if the page accepts a POST",
        ),
        (MANY, {"mailto": "out@x.test"}, "unsubscribe: add `url` with `one_click: true`: Gmail and Yahoo"),
        (
            MANY,
            {"url": "https://x.test/{{ bounce.token }}", "one_click": True},
            "one click counts only under a DKIM signature",
        ),
    ],
    ids=range(4),
)
def test_unsubscribe(said: Said, people: str, unsubscribe: dict[str, object] | None, what: str) -> None:
    (only,) = said("unsubscribe", people, **({"unsubscribe": unsubscribe} if unsubscribe else {}))
    assert what in only


@pytest.mark.parametrize(
    ("people", "unsubscribe"),
    [
        (PEOPLE, None),
        (PEOPLE, {"url": "http://x.test/u"}),
        (PEOPLE, {"mailto": "out@x.test"}),
    ],
    ids=range(3),
)
def test_unsubscribe_that_is_enough(said: Said, people: str, unsubscribe: dict[str, object] | None) -> None:
    assert said("unsubscribe", people, **({"unsubscribe": unsubscribe} if unsubscribe else {})) == []


def test_one_click_at_an_address_for_everybody(found: Found) -> None:
    for url, said in (("https://x.test/u", 1), ("https://x.test/{{ bounce.token }}", 0)):
        problems = found("unsubscribe", unsubscribe={"url": url, "one_click": True})
        odd = [problem for problem in problems if "the same for everybody" in problem.message]
        assert [problem.path for problem in odd] == ["unsubscribe.url"] * said


def test_a_text_part_that_is_html(said: Said) -> None:
    for text in ("<!DOCTYPE html>\n<p>Hi", "<p>Hi {{ first }}</p>", "a<BODY>"):
        assert said("textpart", text=text, html="<p>Hi") == [
            "body.txt: warning: the text part is HTML, and readers see its tags; name such a template in"
            " templates.html"
        ]
    assert said("textpart", text="1 < 2, <https://x.test>, <b>") == []


@pytest.mark.parametrize(
    ("host", "rate", "what"),
    [
        (
            "smtp.gmail.com",
            None,
            "smtp.host: smtp.gmail.com has a sending limit, and the campaign has no rate; write rate: 500",
        ),
        (
            "email-smtp.eu-west-1.amazonaws.com",
            None,
            "write the rate and the daily quota of your SES account",
        ),
        ("smtp.gmail.com", "14/second", "smtp.rate: smtp.gmail.com allows 2000/day, which this rate exceeds"),
        (
            "smtp.office365.com",
            "10000/day",
            "smtp.rate: smtp.office365.com allows 30/minute, which this rate",
        ),
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
        {"path": "a.jpeg", "name": "Photo.JPG"},
    ],
    ids=range(4),
)
def test_attachments_that_arrive(said: Said, attachment: object) -> None:
    for name in ("a.pdf", "a.jpeg"):
        Path(name).write_text("x")
    assert said("attachments", attachments=[attachment]) == []


ODD = """email,first,kind,name
ann@x.test,Ann,pdf,Invoice.pdf
ben@x.test,Ben,exe,Setup.EXE
cid@x.test,Cid,pdf,Invoice No. 7
dan@x.test,Dan,pdf,Invoice No. 8
eve@x.test,Eve,pdf,Invoice.docx
flo@x.test,Flo,pdf,
gus@x.test,Gus,js,Notes.txt
hal@x.test,Hal,,Notes.txt
"""


def test_attachments_that_cells_name(said: Said) -> None:
    for name in ("a.pdf", "a.exe", "a.js", "a."):
        Path(name).write_text("x")
    one = {"path": "a.{{ kind }}", "name": "{{ name }}"}
    at = "attachments, entry 1"
    assert said("attachments", ODD, attachments=[one]) == [
        f"spring.yaml:10:3: warning: {at}: many receivers refuse .exe files; send a link to it (row 2)",
        f"spring.yaml:11:9: warning: {at}, name: the name does not end in .pdf as the file's does; programs"
        " rely on that (rows 3–4)",
        f"spring.yaml:11:9: warning: {at}, name: the name ends in .docx, and the file in .pdf; programs rely"
        " on that (row 5)",
        f"spring.yaml:11:9: warning: {at}, name: the name ends in .txt, and the file in .js; programs rely"
        " on that (row 7)",
    ]


def test_attachments_that_lists_in_cells_name(said: Said) -> None:
    for name in ("a.pdf", "b.exe"):
        Path(name).write_text("x")
    people = "email,first,files\nann@x.test,Ann,a.pdf\nben@x.test,Ben,a.pdf;b.exe\ncid@x.test,Cid,\n"
    each = {"path": "{{ item }}", "each": "{{ files.split(';') }}", "name": "{{ item }}"}
    (only,) = said("attachments", people, attachments=["a.pdf", each])
    assert "attachments, entry 2: many receivers refuse .exe files; send a link to it (row 2)" in only


SECRETS: dict[str, dict[str, object]] = {
    "dkim.key_file": {"dkim": {"domain": "wrenfield.org", "selector": "s1", "key_file": "the key.pem"}},
    "smtp.password_file": {"smtp": {"host": "smtp.x.test", "username": "x", "password_file": "the key.pem"}},
    "smtp.client_key": {
        "smtp": {"host": "smtp.x.test", "client_cert": "the key.pem", "client_key": "the key.pem"}
    },
    "unsubscribe.secret_file": {
        "unsubscribe": {"url": "https://x.test/{{ unsubscribe.token }}", "secret_file": "the key.pem"}
    },
    "bounces.imap.password_file": {
        "bounces": {"imap": {"host": "imap.x.test", "username": "x", "password_file": "the key.pem"}}
    },
}


@pytest.fixture(scope="module")
def private_key() -> bytes:
    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.skipif(os.name != "posix", reason="needs modes of files")
@pytest.mark.parametrize("key", SECRETS)
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o602])
def test_secrets_that_others_can_read(found: Found, private_key: bytes, key: str, mode: int) -> None:
    file = Path("the key.pem")
    file.write_bytes(private_key)
    file.chmod(mode)
    (only,) = found("secrets", **SECRETS[key])
    assert only.message == (
        f"others on this machine can use the key.pem (mode {mode:o}); run: chmod 600 'the key.pem'"
    )
    assert only.path == key
    assert only.line is not None
    file.chmod(0o600)
    assert found("secrets", **SECRETS[key]) == []
    file.chmod(0o400)
    assert found("secrets", **SECRETS[key]) == []


@pytest.mark.skipif(os.name != "posix", reason="needs modes of files")
def test_files_of_others_are_theirs_to_close(found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    file = Path("the key.pem")
    file.write_text("secret")
    file.chmod(0o644)
    monkeypatch.setattr(os, "geteuid", lambda: file.stat().st_uid + 1)
    assert found("secrets", **SECRETS["smtp.password_file"]) == []


def test_a_pipe_is_no_file_that_others_read(found: Found) -> None:
    os.mkfifo("the key.pem", 0o644)
    assert found("secrets", **SECRETS["smtp.password_file"]) == []
    assert found("secrets") == []


def test_size(said: Said) -> None:
    Path("a.bin").write_bytes(b"x" * (LARGE * 3 // 4))
    (only,) = said("size", attachments=["a.bin"])
    assert "attachments: the largest message has 10.3 MB, and many receivers refuse more than 10" in only
    assert said("size") == []


def test_clipped(said: Said) -> None:
    (only,) = said("clipped", html="<p>" + "x" * CLIPPED)
    assert only == "body.html: warning: the HTML has up to 102 KB; Gmail hides all after 102 KB"
    assert said("clipped", html="<p>" + "x" * (CLIPPED // 2)) == []
    (only,) = said("clipped", html="<p>{{ 'x' * 110000 if first == 'Ben' else first }}")
    assert only.endswith("the HTML has up to 110 KB; Gmail hides all after 102 KB (row 2)")


def test_a_list_of_nobody_has_no_first_message(said: Said) -> None:
    for rule in RULES:
        said(rule, "email,first\n")


def test_attachments_that_a_row_does_not_name(said: Said) -> None:
    people = "email,file,other\nann@x.test,a.pdf,\nben@x.test,,\ncat@x.test, ,\n"
    Path("a.pdf").write_bytes(b"%PDF")
    assert said("attachments", people, "Hi", attachments=["a.pdf", "{{ file }}"]) == [
        "list.csv:3: warning: file is blank in 2 rows, and names the file of entry 2 of attachments: their"
        " mail goes without the file; if that is intended, write {% if … %} around the path"
    ]
    assert said("attachments", people, "Hi", attachments=["{% if file %}{{ file }}{% endif %}"]) == []
    assert said("attachments", people, "Hi", attachments=["{{ file or 'a.pdf' }}"]) == []
    # A path that is not blank without it is an error of the row, and no warning.
    assert said("attachments", people, "Hi", attachments=["{{ file }}.pdf"]) == []


def test_what_the_first_row_has_is_found_in_others_though_its_file_is_missing(said: Said) -> None:
    people = "email,first,file\nann@x.test,Ann,gone.pdf\nben@x.test,Ben,\ncid@x.test,Cid,\n"
    (only,) = said("mergetags", people, text="Hi *|FNAME|* {{ first }}", attachments=["{{ file }}"])
    assert "*|FNAME|*" in only
