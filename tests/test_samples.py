"""The ready-made campaigns: they load, their lists are clean, and every row makes a good message."""

from __future__ import annotations

import csv
import re
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from functools import cache
from pathlib import Path

import pytest

from campaign.address import domain_of, fold, parse_address
from campaign.campaignfile.load import load
from campaign.campaignfile.models import CampaignFile
from campaign.message.render import Renderer
from campaign.message.tokens import Secrets
from campaign.model import Recipient
from campaign.recipients.list import Recipients

ROOT = Path(__file__).parent.parent
SAMPLES = ("newsletter", "mail-merge", "plain")
LISTS = ("subscribers.csv", "members.csv", "volunteers.csv")
_DATE = datetime(2026, 3, 20, 7, tzinfo=UTC)
_GMAIL_CLIPS = 102_000  # octets of HTML


@cache
def sample(name: str) -> CampaignFile:
    return load(ROOT / "templates" / name / "campaign.yaml")


@cache
def rows(file: str) -> list[dict[str, str]]:
    with (ROOT / "sample_lists" / file).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, strict=True))


def renderer(name: str) -> Renderer:
    return Renderer(sample(name), Recipients(sample(name)).columns, Secrets.placeholder())


@cache
def messages(name: str) -> list[tuple[Recipient, EmailMessage]]:
    """Each row with its message, as a mail program reads it."""
    made, found = renderer(name), []
    for recipient in Recipients(sample(name)):
        assert isinstance(recipient, Recipient), recipient
        message = message_from_bytes(made.render(recipient, date=_DATE).content, policy=default)
        assert isinstance(message, EmailMessage)
        found.append((recipient, message))
    return found


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert isinstance(part, EmailMessage)
    return str(part.get_content())


def test_every_sample_is_here() -> None:
    assert {path.parent.name for path in (ROOT / "templates").glob("*/campaign.yaml")} == set(SAMPLES)
    assert {path.name for path in (ROOT / "sample_lists").iterdir()} == set(LISTS)


@pytest.mark.parametrize("name", SAMPLES)
def test_it_loads_and_names_a_list_of_ours(name: str) -> None:
    campaign = sample(name)
    assert campaign.file.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=")
    assert campaign.recipients.csv.resolve().parent == ROOT / "sample_lists"
    assert campaign.smtp.password_env == "SMTP_PASSWORD"
    assert campaign.smtp.host.endswith(".example")


@pytest.mark.parametrize("file", LISTS)
def test_a_list_is_clean(file: str) -> None:
    people = rows(file)
    addresses = [parse_address(row["email"]) for row in people]
    assert len({fold(address) for address in addresses}) == len(people)
    for address in addresses:
        # RFC 2606: names that are nobody's. A local part in ASCII goes to every server.
        assert re.search(r"(^|\.)(example|example\.com|example\.net|example\.org)$", domain_of(address))
        assert address.isascii()
    assert all(None not in row and None not in row.values() for row in people)
    assert all(cell == cell.strip() for row in people for cell in row.values())


def test_the_long_list_has_what_lists_have() -> None:
    people = rows("subscribers.csv")
    cells = [cell for row in people for cell in row.values()]
    assert len(people) > 300
    assert any("," in cell for cell in cells)
    assert any('"' in cell for cell in cells)
    assert any("&" in cell for cell in cells)
    assert any(not row["email"].isascii() for row in people)
    assert {"ar", "he", "ja", "ko", "th", "zh"} <= {row["language"] for row in people}
    for column in people[0].keys() - {"email"}:
        assert any(not row[column] for row in people), f"no blank {column}"


@pytest.mark.parametrize("name", SAMPLES)
def test_every_row_reads_well(name: str) -> None:
    made = messages(name)
    assert len({recipient.key for recipient, _ in made}) == len(rows(sample(name).recipients.csv.name))
    for recipient, message in made:
        texts = [str(message["Subject"]), body(message, "plain")]
        if message.get_body(("html",)) is not None:
            texts.append(body(message, "html").partition("<body")[2])
        for text in texts:
            where = f"row {recipient.number}: {text}"
            assert text.strip(), where
            assert not re.search(r"\bNone\b|\{\{|\{%", text), where
            # What a blank cell leaves behind: "Dear ,", "in ?", "on .".
            assert not re.search(r"(?<=\S) [,.?!](\s|<|$)", text), where


@pytest.mark.parametrize("name", SAMPLES)
def test_what_may_be_blank_is_asked_for(name: str) -> None:
    """A column with a blank cell is never printed without an `if`."""
    people = rows(sample(name).recipients.csv.name)
    blank = {column for row in people for column, cell in row.items() if not cell}
    assert not blank & renderer(name).shown.keys()


def test_a_cell_stays_text() -> None:
    html = {row.name: body(message, "html") for row, message in messages("mail-merge")}
    assert "The Tuesday Gardeners &amp; Friends" in html["The Tuesday Gardeners & Friends"]


def test_every_member_has_a_statement() -> None:
    named = set()
    for recipient, message in messages("mail-merge"):
        (attachment,) = message.iter_attachments()
        assert attachment.get_content_type() == "application/pdf"
        assert attachment.get_filename() == f"Statement {recipient.key}.pdf"
        assert str(message["X-Member"]) == recipient.key
        content = attachment.get_payload(decode=True)
        assert isinstance(content, bytes)
        assert content.startswith(b"%PDF-")
        assert content.rstrip().endswith(b"%%EOF")
        assert len(content) < 4096
        assert f"Statement {recipient.key} for".encode() in content
        named.add(f"{recipient.key}.pdf")
    assert named == {path.name for path in (sample("mail-merge").folder / "statements").iterdir()}


def test_the_newsletter_brings_its_images() -> None:
    assets = sample("newsletter").folder / "assets"
    for _, message in messages("newsletter"):
        page = body(message, "html")
        assert len(page.encode()) < _GMAIL_CLIPS / 2
        assert not re.search(r"url\(|<script|<link|@import|\bsrc=.?https?:", page)
        shown = re.findall(r'<img\b[^>]*\bsrc="cid:([^"]+)"', page)
        assert len(shown) == len(re.findall("<img", page)) == len(list(assets.iterdir()))
        assert len(re.findall(r'<img\b[^>]*\balt="[^"]{5,}"', page)) == len(shown)
        carried = {part["Content-ID"]: part.get_content_type() for part in message.walk()}
        assert all(carried[f"<{one}>"] == "image/png" for one in shown)


def test_the_newsletter_keeps_its_dark_mode_and_its_layout_for_word() -> None:
    page = body(messages("newsletter")[0][1], "html")
    head = page.partition("<body")[0]
    assert "@media (prefers-color-scheme: dark)" in head
    assert "@media (max-width: 520px)" in head
    assert "<!--[if mso]>" in head
    assert 'class="paper" style="' in page
