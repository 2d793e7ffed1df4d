"""`campaign preview`: what it shows is what would leave, and nothing in a cell gets the better of it."""

from __future__ import annotations

import re
import stat
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from campaign.campaignfile.load import load
from campaign.cli import main
from campaign.ledger import Ledger
from campaign.message.tokens import Secrets
from campaign.model import Recipient
from campaign.preparation import compile_campaign
from campaign.preview.opened import decoded, open_message
from campaign.preview.page import source
from campaign.preview.variety import varied
from campaign.wording import size

ROOT = Path(__file__).parents[2]
LETTER = ROOT / "templates" / "newsletter" / "campaign.yaml"
STATEMENTS = ROOT / "templates" / "mail-merge" / "campaign.yaml"
_CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def campaign(folder: Path, rows: list[str], *more: str, html: str = "<p>Hello {{ name }}</p>") -> Path:
    """Write a campaign with columns email, name and plan."""
    folder.mkdir(exist_ok=True)
    (folder / "list.csv").write_text("email,name,plan\n" + "\n".join(rows) + "\n", encoding="utf-8")
    (folder / "body.txt.j2").write_text("Hello {{ name }}, on {{ plan }}\n", encoding="utf-8")
    (folder / "body.html.j2").write_text(html, encoding="utf-8")
    file = folder / "campaign.yaml"
    lines = [
        "name: letter",
        "from: news@example.com",
        "subject: 'For {{ recipient.email }}'",
        "templates: {text: body.txt.j2, html: body.html.j2}",
        "smtp: {host: smtp.example.com, username: u, password_command: [touch, was-run]}",
        *(more or ("recipients: list.csv",)),
    ]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


PEOPLE = ["a@example.com,Ann,free", "b@example.com,Bo,pro", "c@@example.com,Cy,free", "A@Example.com,Al,pro"]


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["preview", *map(str, arguments)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_first_row_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, STATEMENTS)
    assert code == 0
    assert "Row 1, line 2 of" in out
    assert "MAIL FROM: <office@millane.example>\nRCPT TO: <amara.okonjo@example.com>\n" in out
    names = re.findall(r"^([\w-]+): ", out.partition("\n\n")[2].partition("\n\n")[2], re.MULTILINE)
    assert names[:7] == ["MIME-Version", "From", "To", "Reply-To", "Subject", "Date", "Message-ID"]
    assert "\nTo: Amara Okonjo <amara.okonjo@example.com>\n" in out
    assert "\n\nDear Amara Okonjo,\n" in out
    assert re.search(r"^attachment: Statement ML-0103\.pdf \(application/pdf, 1\.\d kB\)$", out, re.MULTILINE)
    assert re.search(r"^message: +\d\.\d kB$", out, re.MULTILINE)
    assert "note: there is no ledger yet" in err


def test_images_and_a_long_name(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, LETTER, "--row", 95)
    assert code == 0
    assert "\nTo: Maximiliane Freifrau von und zu Hohenlohe-Schillingsfürst <" in out
    assert re.search(r"^image: +logo\.png \(image/png, 1\.8 kB\)$", out, re.MULTILINE)
    assert "unsubscribe token is a placeholder" in err


def test_a_cell_does_not_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "\x1b]0;owned\x07\x1b[2J\u009b31m\u202eevil\tx"
    file = campaign(tmp_path, [f"a@example.com,{cell(name)},free"])
    code, out, err = run(capsys, file)
    assert code == 0
    assert r"\x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil" in out
    assert not _CONTROLS.search((out + err).replace("\t", ""))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--row", "3"], r"list.csv:4: email: 'c@@example.com'"),
        (["--row", "4"], r"list.csv:5: row 4 is not sent: line 2 has the same key, 'a@example.com'"),
        (["--row", "5"], r"there is no row 5; the list has 4"),
        (["--row", "0"], r"0 is not in the range"),
        (
            ["--to", "d@example.com"],
            r"no row has the address 'd@example.com'; 1 bad row could not be read",
        ),
        (["--to", "nobody"], r"--to: 'nobody' has no @"),
        (["--row", "1", "--pick", "2"], r"name one of them"),
        (["--html", "x.html", "--eml", "x"], r"name one of them"),
    ],
)
def test_what_is_not_sent_is_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    code, out, err = run(capsys, campaign(tmp_path, PEOPLE), *arguments)
    assert (code, out) == (2, "")
    assert re.search(said, err), err


def test_what_where_leaves_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = campaign(tmp_path, PEOPLE, "recipients: {csv: list.csv, where: \"plan == 'pro'\"}")
    for arguments in (["--row", "1"], ["--row", "3"]):
        code, _, err = run(capsys, file, *arguments)
        assert code == 2
        assert "where leaves it out (plan == 'pro')" in err or "'c@@example.com'" in err
    code, _, err = run(capsys, file, "--row", 1)
    assert "row 1 is not sent: recipients.where leaves it out (plan == 'pro')" in err
    # The other row of the address is left in, so nothing is double.
    code, out, _ = run(capsys, file, "--to", "a@EXAMPLE.com")
    assert (code, "Hello Al, on pro" in out) == (0, True)
    _, _, err = run(
        capsys,
        campaign(tmp_path, PEOPLE[1:], "recipients: {csv: list.csv, where: \"name == 'Bo'\"}"),
        "--to",
        "A@example.com",
    )
    assert "row 3 is not sent" in err


def test_an_address_with_several_letters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = ["a@example.com,1,x", "b@example.com,2,x", "a@example.com,3,x", "a@example.com,2,x"]
    file = campaign(tmp_path, rows, "recipients: {csv: list.csv, key: name}")
    code, out, _ = run(capsys, file, "--to", "A@example.com")
    assert code == 0
    assert re.findall(r"^Row (\d)", out, re.MULTILINE) == ["1", "3"]
    code, _, err = run(capsys, file, "--row", 4)
    assert (code, "line 3 has the same key, '2'" in err) == (2, True)


def test_no_secret_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, socket_disabled: None
) -> None:
    monkeypatch.chdir(tmp_path)
    unsubscribe = (
        'unsubscribe: {url: "https://example.com/{{ unsubscribe.token }}", secret_command: [touch, was-run]}'
    )
    file = campaign(tmp_path, PEOPLE[:2], "recipients: list.csv", unsubscribe)
    before = set(tmp_path.iterdir())
    assert run(capsys, file)[0] == 0
    assert set(tmp_path.iterdir()) == before


def test_message_ids_are_the_ledgers_and_it_stays_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = campaign(tmp_path, PEOPLE[:2])
    Ledger.open(tmp_path / "ledger.db", "letter", file).close()
    before = (tmp_path / "ledger.db").read_bytes()
    secret = Ledger.open(tmp_path / "ledger.db", "letter", file, create=False, read_only=True).secret
    recipients, renderer = compile_campaign(load(file), Secrets(secret))
    (row, *_) = recipients
    assert isinstance(row, Recipient)
    _, out, err = run(capsys, file)
    assert f"\nMessage-ID: {renderer.render(row, date=datetime.now(UTC)).message_id}\n" in out
    assert "ledger" not in err
    assert (tmp_path / "ledger.db").read_bytes() == before


def test_eml_holds_the_exact_octets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "out" / "eml"
    code, out, _ = run(capsys, STATEMENTS, "--eml", folder)
    assert (code, out) == (0, f"24 messages written to {folder}\n")
    recipients, renderer = compile_campaign(load(STATEMENTS), Secrets.placeholder())
    names = []
    for row in recipients:
        assert isinstance(row, Recipient)
        names.append(f"{row.number:04}-{row.email}.eml".replace("'", "_"))
        octets = (folder / names[-1]).read_bytes()
        date = re.compile(rb"^Date: .*\r\n", re.MULTILINE)
        expected = renderer.render(row, date=datetime.now(UTC)).content
        assert date.sub(b"", octets) == date.sub(b"", expected)
    assert sorted(names) == sorted(path.name for path in folder.iterdir())
    assert stat.S_IMODE((folder / names[0]).stat().st_mode) == 0o600


def test_eml_names_stay_in_their_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{cell(chr(34) + '../../../x/ y' + chr(34) + '@example.com')},X,free", "b@example.com,Bo,pro"]
    file = campaign(tmp_path / "c", rows)
    kept = tmp_path / "kept"
    kept.write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "0002-b@example.com.eml").symlink_to(kept)
    for _ in range(2):
        assert run(capsys, file, "--eml", tmp_path / "out")[0] == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "0001-_.._.._.._x__y_@example.com.eml",
        "0002-b@example.com.eml",
    }
    assert kept.read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"c", "kept", "out"}


def test_eml_of_a_list_with_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What can be written is; what cannot is said, all of it."""
    file = campaign(tmp_path, PEOPLE, "recipients: list.csv", "headers: {X-Name: '{{ name }}'}")
    with (tmp_path / "list.csv").open("a") as rows:
        rows.write('d@example.com,"two\nlines",pro\n')
    code, out, err = run(capsys, file, "--eml", tmp_path / "out")
    assert (code, out) == (2, f"2 messages written to {tmp_path / 'out'}\n")
    for said in ("list.csv:4: email: 'c@@", "list.csv:5: ", "X-Name holds a line break"):
        assert said in err
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_a_page_overwrites_pages_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = campaign(tmp_path, PEOPLE[:2])
    before = file.read_bytes()
    code, _, err = run(capsys, file, "--html", file)
    assert (code, "no page of campaign's" in err) == (2, True)
    assert file.read_bytes() == before
    page = tmp_path / "page.html"
    for _ in range(2):
        assert run(capsys, file, "--html", page)[:2] == (0, f"2 messages on {page}\n")
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    code, _, err = run(capsys, file, "--html", tmp_path / "none" / "page.html")
    assert (code, "cannot be written: No such file" in err) == (2, True)
    assert run(capsys, file, "--html", "/dev/null")[0] == 0
    assert not Path("/dev/null").is_file()


def test_open_shows_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}\n')
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("webbrowser._tryorder", None)
    code, out, _ = run(capsys, campaign(tmp_path / "c", PEOPLE[:2]), "--open")
    assert code == 0
    path = Path(out.removeprefix("2 messages on ").rstrip())
    assert opened.read_text() == path.as_uri()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def recipient(number: int, person: str = "", **cells: str) -> Recipient:
    email = f"p{number}@example.com"
    return Recipient(number, number + 1, email, email, person, {"email": email, **cells})


def test_the_picked_rows_differ() -> None:
    def people() -> Iterator[Recipient]:
        for number in range(1, 301):
            plan = "pro" if number == 200 else "free"
            name = {50: "אבי כהן", 60: "Ω" * 9, 70: "X" * 60, 80: "I"}.get(number, "Person Name")
            yield recipient(number, name, name=name, plan=plan, city="" if number == 90 else "Oslo")

    columns = ("email", "name", "plan", "city")
    chosen = varied(people(), columns, 12)
    why = {one.recipient.number: one.why for one in chosen}
    assert list(why) == sorted(why)
    assert len(why) == 12
    assert {number: why[number][0] for number in (1, 50, 60, 70, 80, 90, 200, 300)} == {
        1: "first row", 50: "right to left", 60: "not ASCII", 70: "longest name", 80: "shortest name",
        90: "most blank cells", 200: "plan: pro", 300: "last row",
    }  # fmt: skip
    assert varied(people(), columns, 12) == chosen
    assert [one.recipient.number for one in varied(people(), columns, 1)] == [1]
    assert len(varied(people(), columns, 500)) == 300
    assert varied(iter(()), columns, 5) == []


def test_picking_keeps_memory_flat() -> None:
    tracemalloc.start()
    varied((recipient(n, f"N{n}", note=f"{n} " * 50) for n in range(1, 30_001)), ("email", "note"), 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_what_is_picked_would_be_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, campaign(tmp_path, PEOPLE), "--pick", 9)
    assert code == 0
    assert re.findall(r"^Row (\d)", out, re.MULTILINE) == ["1", "2"]
    code, _, err = run(capsys, campaign(tmp_path, []), "--pick", 2)
    assert (code, "no row to preview" in err) == (2, True)


def test_sizes_and_header_words() -> None:
    assert [size(n) for n in (0, 999, 1000, 34_160, 999_949, 999_950)] == [
        "0 bytes", "999 bytes", "1.0 kB", "34.2 kB", "999.9 kB", "1.0 MB",
    ]  # fmt: skip
    assert decoded("=?utf-8?q?Z=C3=BC?=\r\n =?UTF-8?B?cmljaA==?= <a@b>") == "Zürich <a@b>"
    assert decoded("a\r\n b") == "a b"


def test_long_base64_is_cut_in_the_source_view() -> None:
    recipients, renderer = compile_campaign(load(LETTER), Secrets.placeholder())
    (row, *_) = recipients
    assert isinstance(row, Recipient)
    message = renderer.render(row, date=datetime.now(UTC))
    shown = source(message.content)
    assert re.search(r"\[… \d+ more lines of base64 …\]", shown)
    assert len(shown) < len(message.content)
    assert "\r" not in shown
    assert [image.content[:4] for image in open_message(message).images] == [b"\x89PNG"] * 2
