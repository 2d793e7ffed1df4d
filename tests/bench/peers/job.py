"""What each peer is asked to do: `python -m tests.bench.peers.NAME FOLDER PORT CONNECTIONS`.

A peer reads the folder that tests/bench/newsletter.py writes, and mails everybody of its list over
STARTTLS with a login, in the way that its documentation shows.
"""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formataddr, formatdate, make_msgid
from pathlib import Path
from typing import Any

import jinja2

from tests.bench.newsletter import ARTICLES, FROM, HTML, LEAVE, LIST, TEXT

HOST, USER, PASSWORD = "localhost", FROM, "secret"
HEADERS = {"List-Unsubscribe": f"<mailto:{LEAVE}>"}


@dataclass(frozen=True, slots=True)
class Job:
    """The newsletter, its list, and the server's port. `attachment` is None where there is none."""

    folder: Path
    port: int
    connections: int
    rows: list[dict[str, str]]
    articles: list[dict[str, Any]]
    text: str
    html: str
    attachment: Path | None


def job() -> Job:
    """Return what the command line asks for."""
    folder, port, connections = sys.argv[1:]
    return read(Path(folder), int(port), int(connections))


def read(folder: Path, port: int, connections: int) -> Job:
    """Return the job that a folder holds."""
    with (folder / LIST).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    attachment = folder / "terms.pdf"
    return Job(
        folder,
        port,
        connections,
        rows,
        json.loads((folder / ARTICLES).read_text("utf-8")),
        (folder / TEXT).read_text("utf-8"),
        (folder / HTML).read_text("utf-8"),
        attachment if attachment.exists() else None,
    )


def subject(row: dict[str, str]) -> str:
    """Return a row's subject."""
    return f"{row['first_name']}, what is new this spring"


class Messages:
    """Makes an EmailMessage of each row, with templates that are compiled once."""

    def __init__(self, one: Job) -> None:
        self._articles = one.articles
        self._text = jinja2.Environment().from_string(one.text)
        self._html = jinja2.Environment(autoescape=True).from_string(one.html)
        self._attachment = None if one.attachment is None else one.attachment.read_bytes()

    def of(self, row: dict[str, str]) -> EmailMessage:
        """Return a row's message."""
        message = EmailMessage()
        message["From"] = formataddr(("Example News", FROM))
        message["To"] = row["email"]
        message["Subject"] = subject(row)
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain="example.com")
        for name, value in HEADERS.items():
            message[name] = value
        message.set_content(self._text.render(row, articles=self._articles))
        message.add_alternative(self._html.render(row, articles=self._articles), subtype="html")
        if self._attachment is not None:
            message.add_attachment(
                self._attachment, maintype="application", subtype="pdf", filename="terms.pdf"
            )
        return message
