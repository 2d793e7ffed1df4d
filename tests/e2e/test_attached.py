"""Attachments, through the commands: several files, copies named by a cell, and an invitation per row."""

from __future__ import annotations

import subprocess
import sys
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTPUTF8
from pathlib import Path
from typing import Any

import pytest

from tests.folder import write_campaign
from tests.message.test_calendar import INVITE

LIST = """\
email,first,files,bosses,note
ann@example.test,Ann,a.pdf;Größe.pdf,bo@example.test;cy@example.test,"bring
cake; or pie"
ben@example.test,Ben,,,
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "campaign", *arguments], cwd=folder, capture_output=True, text=True
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, LIST)
    return tmp_path


def write(folder: Path, recipients: str, **values: Any) -> None:
    (folder / "att").mkdir(exist_ok=True)
    for name in ("a.pdf", "Größe.pdf"):
        (folder / "att" / name).write_bytes(b"%PDF-" + name.encode())
    given = {
        "from": "Ann Lee <ann.lee@example.org>",
        "sender": "The office <office@example.org>",
        "reply_to": ["ann.lee@example.org", "office@example.org"],
        "cc": [{"each": "{{ bosses.split(';') }}"}],
        "attachments": [{"path": "att/{{ item }}", "each": "{{ files.split(';') }}"}],
        "calendar": "invite.ics.j2",
        **values,
    }
    write_campaign(folder, {"list.csv": recipients, "invite.ics.j2": INVITE}, **given)


def test_a_campaign_with_attachments_is_rehearsed(folder: Path) -> None:
    done = run(folder, "rehearse", "spring.yaml")
    assert done.returncode == 0, done.stderr
    assert "2 accepted" in done.stdout


def test_a_mail_program_reads_the_attachments(folder: Path) -> None:
    done = run(folder, "preview", "spring.yaml", "--row", "1", "--eml", "out")
    assert done.returncode == 0, done.stderr
    (file,) = (folder / "out").glob("*.eml")
    message = message_from_bytes(file.read_bytes(), _class=EmailMessage, policy=SMTPUTF8)
    assert message["Sender"] == "The office <office@example.org>"
    assert message["Reply-To"] == "ann.lee@example.org, office@example.org"
    assert message["Cc"] == "bo@example.test, cy@example.test"
    named = [part.get_filename() for part in message.iter_attachments()]
    assert named == ["a.pdf", "Größe.pdf", "invite.ics"]
    assert "DESCRIPTION:bring\\ncake\\; or pie\r\n" in message.as_string()
    shown = run(folder, "preview", "spring.yaml", "--row", "1").stdout
    assert "invite.ics" in shown
    assert shown.count("attachment") == 3


def test_a_wrong_attachment_of_a_row_is_reported_before_anything_is_sent(tmp_path: Path) -> None:
    write(tmp_path, LIST.replace("a.pdf;", "a.pdf;no.pdf;"))
    done = run(tmp_path, "rehearse", "spring.yaml")
    assert done.returncode == 2
    assert "attachments, entry 1: there is no file 'att/no.pdf'" in done.stderr
    assert "look at the column files (row 1, line 2 of the list)" in done.stderr
    (tmp_path / "invite.ics.j2").write_text(INVITE.replace("|ical", ""))
    checked = run(tmp_path, "check", "spring.yaml")
    assert checked.returncode == 2
    assert "DESCRIPTION: a value has a line break in it" in checked.stdout + checked.stderr
