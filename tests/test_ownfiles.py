"""Whatever a campaign is made of is found, however it is named: by the YAML, by a template, by a link."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from campaign.errors import UserError
from campaign.outfile import Kind, writing
from campaign.ownfiles import OwnFiles

YAML = """
name: news
recipients: {csv: people/list.csv, key: email}
from: news@example.com
subject: "{% include 'subject.txt' %}"
templates: {text: body.txt.j2, html: body.html.j2}
attachments:
  - terms.pdf
  - {path: "bills/{{ bill }}.pdf", name: "{{ bill }}"}
attachments_root: assets
unsubscribe: {url: "https://example.com/{{ unsubscribe.token }}", secret_file: hmac.key}
dkim: {domain: example.com, selector: s1, key_file: dkim.pem}
smtp: ../shared/smtp.yaml
ledger: letters.db
"""
SMTP = """
host: smtp.example.com
username: news
password_command: [./secret.sh, --now]
ca_file: ca.pem
client_cert: client.pem
client_key: client.key
"""
FILES = {
    "people/list.csv": "recipients.csv",
    "body.txt.j2": "templates.text",
    "body.html.j2": "templates.html",
    "subject.txt": "included by subject",
    "parts/head.html": "included by templates.html",
    "parts/foot.html": "included by parts/head.html",
    "macros.j2": "included by templates.html",
    "assets/terms.pdf": "attachments, entry 1",
    "assets/logo.png": "shown by parts/head.html",
    "assets/back ground.png": "shown by templates.html",
    "assets/app.css": "shown by templates.html",
    "hmac.key": "unsubscribe.secret_file",
    "dkim.pem": "dkim.key_file",
    "../shared/smtp.yaml": "smtp",
    "../shared/ca.pem": "ca_file",
    "../shared/client.pem": "client_cert",
    "../shared/client.key": "client_key",
    "../shared/secret.sh": "password_command, entry 1",
    "letters.db": "ledger",
    "campaign.yaml": "the campaign file",
}
REACHABLE = {
    "assets/bills/17.pdf": "attachments, entry 2: path",
    "assets/faces/ann.jpg": "shown by templates.html",
}
OTHERS = [
    "notes.txt",
    "page.html",
    "people/other.csv",
    "assets/bills.pdf",
    "assets/faces/ann.txt",
    "other.db",
]
ANYTHING = Kind("a file", lambda head: False, private=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "campaign"
    for name in (*FILES, *REACHABLE, *OTHERS):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("content")
    (folder / "campaign.yaml").write_text(YAML)
    (folder / "../shared/smtp.yaml").write_text(SMTP)
    (folder / "body.html.j2").write_text(
        '{% from "macros.j2" import x %}{% include "parts/head.html" %}<link href=app.css>'
        '<td background="back%20ground.png"><img src="faces/{{ face }}.jpg"><a href="{{ url }}">x</a>'
    )
    (folder / "parts/head.html").write_text("{% include 'parts/foot.html' %}<img src='logo.png?v=1'>")
    return folder


def test_each_is_named_by_its_place(folder: Path) -> None:
    own = OwnFiles(folder / "campaign.yaml")
    assert {name: own.named(folder / name) for name in FILES} == FILES
    assert {name: own.reachable(folder / name) for name in REACHABLE} == REACHABLE
    for name in (*REACHABLE, *OTHERS):
        assert own.named(folder / name) == "", name
    for name in OTHERS:
        assert own.reachable(folder / name) == "", name


@pytest.mark.parametrize("name", [*FILES, *REACHABLE])
@pytest.mark.parametrize("by", ["its name", "a link", "a hard link", "dots"])
def test_none_is_written_over_by_force_either(folder: Path, name: str, by: str) -> None:
    file = folder / name
    match by:
        case "its name":
            path = file
        case "a link":
            path = folder / "link"
            path.symlink_to(file)
        case "a hard link":
            path = folder / "link"
            os.link(file, path)
        case _:
            path = folder / "assets" / ".." / name
    before = file.read_bytes()
    with (
        pytest.raises(UserError, match="is one of the campaign's own files"),
        writing(path, ANYTHING, OwnFiles(folder / "campaign.yaml"), force=True) as out,
    ):
        out.write(b"new")
    assert file.read_bytes() == before


@pytest.mark.parametrize("name", OTHERS)
def test_others_may_be(folder: Path, name: str) -> None:
    with writing(folder / name, ANYTHING, OwnFiles(folder / "campaign.yaml"), force=True) as out:
        out.write(b"new")
    assert (folder / name).read_bytes() == b"new"


@pytest.mark.parametrize("beside", ["", "-wal", "-shm", "-journal", "-reserve"])
def test_a_ledger_that_is_not_there_yet(folder: Path, beside: str) -> None:
    (folder / "letters.db").unlink()
    assert OwnFiles(folder / "campaign.yaml").named(folder / f"letters.db{beside}") == "ledger"
    (folder / "campaign.yaml").write_text(YAML.replace("ledger: letters.db\n", ""))
    own = OwnFiles(folder / "campaign.yaml")
    assert own.named(folder / f"ledger.db{beside}") == "ledger"
    assert own.named(folder / f"letters.db{beside}") == ""


@pytest.mark.parametrize("name", ["people/list.csv", "body.html.j2", "hmac.key", "../shared/ca.pem"])
def test_a_named_file_that_is_missing(folder: Path, name: str) -> None:
    """An export there would be the list of the next send."""
    (folder / name).unlink()
    own = OwnFiles(folder / "campaign.yaml")
    assert own.named(folder / name) == "named by the campaign file"
    assert own.named(folder / "people/missing.csv") == ""
    (folder / name).symlink_to(name.rpartition("/")[2])  # in a circle
    assert OwnFiles(folder / "campaign.yaml").named(folder / "people/other.csv") == ""


def test_a_template_that_a_value_names_may_be_any(folder: Path) -> None:
    for text in ("{% include kind ~ '.txt' %}", "{% if %}"):
        (folder / "body.txt.j2").write_text(text)
        own = OwnFiles(folder / "campaign.yaml")
        assert own.reachable(folder / "notes.txt") == "included by templates.text"
        assert own.reachable(folder / "people/other.csv") == ""  # no template ends so


def test_a_campaign_file_with_a_mistake_protects_all_the_same(folder: Path) -> None:
    (folder / "campaign.yaml").write_text(YAML + "nonsense: 1\nretry: {attempts: none}\n")
    own = OwnFiles(folder / "campaign.yaml")
    assert {name: own.named(folder / name) for name in FILES} == FILES
    (folder / "campaign.yaml").write_text("name: [")
    own = OwnFiles(folder / "campaign.yaml")
    assert own.named(folder / "campaign.yaml") == "the campaign file"
    assert own.named(folder / "ledger.db-wal") == "ledger"


def test_style_sheets_and_what_they_import_are_own(folder: Path) -> None:
    (folder / "css").mkdir()
    (folder / "css/app.css").write_text("@import 'base.css'; @import url(more.css); p{color:red}")
    for name in ("base.css", "more.css"):
        (folder / "css" / name).write_text("@import 'app.css';")
    (folder / "mails").mkdir()
    (folder / "mails/near.css").write_text("")
    html = '<link rel="stylesheet" href="css/app.css"><style>@import "near.css";</style>'
    (folder / "mails/body.html").write_text(html)
    (folder / "campaign.yaml").write_text(YAML.replace("body.html.j2", "mails/body.html"))
    own = OwnFiles(folder / "campaign.yaml")
    for name in ("css/app.css", "css/base.css", "css/more.css", "mails/near.css"):
        assert own.named(folder / name) == "shown by templates.html", name
