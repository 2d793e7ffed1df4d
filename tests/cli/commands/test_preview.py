"""`campaign preview`: what it shows is what would leave, and nothing in a cell gets the better of it."""

from __future__ import annotations

import re
import stat
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from campaign.campaignfile.load import load
from campaign.cli import main
from campaign.ledger import Ledger
from campaign.message.tokens import Secrets
from campaign.model import Recipient
from campaign.preparation import compile_campaign
from tests.preview.letters import LETTER, STATEMENTS, campaign, cell

_CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
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
    assert "Message-IDs and bounce tokens will differ" in err


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
        (["--row", "1", "--pick", "2"], r"give only one of"),
        (["--html", "x.html", "--eml", "x"], r"give only one of"),
        (["--page", "1"], r"--page and -o belong together"),
        (["--page", "3", "-o", "x.html"], r"list.csv:4: email: 'c@@example.com'"),
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
    with closing(Ledger.open(tmp_path / "ledger.db", "letter", file, create=False, read_only=True)) as ledger:
        recipients, renderer = compile_campaign(load(file), Secrets(ledger.secret))
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
    for _ in range(2):
        assert run(capsys, file, "--eml", tmp_path / "out")[0] == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "0001-_.._.._.._x__y_@example.com.eml",
        "0002-b@example.com.eml",
    }
    assert {path.name for path in tmp_path.iterdir()} == {"c", "out"}


def test_eml_overwrites_messages_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A link in the place of a message is not followed: a row of the list has made the name."""
    file = campaign(tmp_path / "c", PEOPLE[:2])
    kept, link = tmp_path / "kept", tmp_path / "out" / "0002-b@example.com.eml"
    kept.write_text("mine")
    link.parent.mkdir()
    link.symlink_to(kept)
    code, _, err = run(capsys, file, "--eml", tmp_path / "out")
    assert (code, f"{link} already exists, and is not a message of campaign's" in err) == (2, True)
    assert link.is_symlink()
    assert run(capsys, file, "--eml", tmp_path / "out", "--force")[0] == 0
    assert not link.is_symlink()
    assert kept.read_text() == "mine"
    link.write_text("Received: from elsewhere\r\nMIME-Version: 1.0\r\nFrom: x@example.com\r\n\r\n")
    assert run(capsys, file, "--eml", tmp_path / "out")[0] == 2


def test_signed_messages_are_recognised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    (tmp_path / "dkim.pem").write_bytes(key)
    signed = "dkim: {domain: example.com, selector: s1, key_file: dkim.pem}"
    file = campaign(tmp_path, PEOPLE[:2], "recipients: list.csv", signed)
    for _ in range(2):
        assert run(capsys, file, "--eml", tmp_path / "out")[0] == 0
    first = (tmp_path / "out" / "0001-a@example.com.eml").read_bytes()
    assert first.startswith(b"DKIM-Signature: ")


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
    for own in (file, tmp_path / "list.csv", tmp_path / "body.html.j2"):
        before = own.read_bytes()
        for force in ([], ["--force"]):
            code, _, err = run(capsys, file, "--html", own, *force)
            assert (code, "one of the campaign's own files" in err) == (2, True)
        assert own.read_bytes() == before
    page = tmp_path / "page.html"
    for _ in range(2):
        assert run(capsys, file, "--html", page)[:2] == (0, f"2 messages on {page}\n")
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    page.write_text("mine")
    code, _, err = run(capsys, file, "--html", page)
    assert (code, "already exists, and is not a page of campaign's" in err) == (2, True)
    assert page.read_text() == "mine"
    assert run(capsys, file, "--html", page, "--force")[0] == 0
    code, _, err = run(capsys, file, "--html", tmp_path / "none" / "page.html")
    assert (code, "cannot be written: No such file" in err) == (2, True)
    code, out, err = run(capsys, file, "--html", "/dev/null")
    assert (code, out, err) == (0, "", "2 messages on /dev/null\n")
    assert not Path("/dev/null").is_file()


def test_names_with_commas_are_quoted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = (
        """cc: ['"Müller, Jörg" <j@example.com>', '"Dr. \\"Ö\\"" <o@example.com>', 'Zoë <z@example.com>']"""
    )
    file = campaign(tmp_path, PEOPLE[:1], "recipients: list.csv", copy)
    code, out, _ = run(capsys, file)
    assert code == 0
    wanted = r"""Cc: "Müller, Jörg" <j@example.com>, "Dr. \"Ö\"" <o@example.com>, Zoë <z@example.com>"""
    assert f"\n{wanted}\n" in out


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


def test_what_is_picked_would_be_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, campaign(tmp_path, PEOPLE), "--pick", 9)
    assert code == 0
    assert re.findall(r"^Row (\d)", out, re.MULTILINE) == ["1", "2"]
    code, _, err = run(capsys, campaign(tmp_path, []), "--pick", 2)
    assert (code, "no row to preview" in err) == (2, True)


def test_a_page_to_put_online(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    html = "<body><img src='dot.png'><a href='{{ unsubscribe.url }}'>{{ name }}</a></body>"
    unsubscribe = "unsubscribe: {url: 'https://example.com/u/{{ bounce.token }}'}"
    file = campaign(tmp_path, PEOPLE, "recipients: list.csv", unsubscribe, html=html)
    (tmp_path / "dot.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    page = tmp_path / "view.html"
    code, out, err = run(capsys, file, "--page", 2, "-o", page)
    assert (code, out, err) == (0, f"row 2 written to {page}\n", "")
    written = page.read_text()
    assert 'src="data:image/png;base64,iVBORw0KGgo="' in written
    recipients, renderer = compile_campaign(load(file), Secrets.placeholder())
    own = re.search("/u/([0-9a-f]{20})", renderer.parts(recipients.row(2))[1] or "")
    shown = re.search("/u/([0-9a-f]{20})'>Bo<", written)
    assert own is not None
    assert shown is not None
    assert shown[1] != own[1]
    assert run(capsys, file, "--page", 2, "-o", page)[0] == 2  # nothing tells it from another page
    assert run(capsys, file, "--page", 2, "-o", page, "--force")[0] == 0
    assert run(capsys, file, "--page", 2, "-o", file, "--force")[0] == 2
