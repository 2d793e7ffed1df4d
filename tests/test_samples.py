"""The ready-made campaigns: they load, their lists are clean, and every row has what it needs."""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path

import pytest

from campaign.address import domain_of, fold, parse_address
from campaign.campaignfile import CampaignFile, load
from campaign.errors import Problem
from campaign.model import Recipient
from campaign.recipients import Recipients
from campaign.templating import RESERVED, Names, Text, compile_file, compile_text, environment, row_context

ROOT = Path(__file__).parent.parent
SAMPLES = ("newsletter", "mail-merge", "plain")
LISTS = ("subscribers.csv", "members.csv", "volunteers.csv")
_SOURCE = re.compile(r'<img\b[^>]*?\bsrc="([^"]*)"[^>]*>')


@cache
def sample(name: str) -> CampaignFile:
    return load(ROOT / "templates" / name / "campaign.yaml")


@cache
def rows(file: str) -> list[dict[str, str]]:
    with (ROOT / "sample_lists" / file).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, strict=True))


def compiled(name: str) -> dict[str, Text]:
    """The sample's subject, attachments' paths and names, and bodies."""
    campaign = sample(name)
    columns = Recipients(campaign).columns
    names = Names(columns, (RESERVED | campaign.vars.keys()) - {"row"})
    texts = {"subject": campaign.subject or "", **campaign.headers}
    for index, attachment in enumerate(campaign.attachments):
        texts[f"path {index}"] = attachment.path
        texts[f"name {index}"] = attachment.name or attachment.path
    plain = environment(campaign.folder, html=False)
    found = {k: compile_text(v, env=plain, place=Problem("", path=k), names=names) for k, v in texts.items()}
    for kind in ("text", "html", "markdown"):
        path: Path | None = getattr(campaign.templates, kind)
        if path is not None:
            env = environment(campaign.folder, html=kind == "html", markdown=kind == "markdown")
            file = path.relative_to(campaign.folder).as_posix()
            found[kind] = compile_file(file, env=env, place=Problem("", path=kind), names=names)
    return found


def context(campaign: CampaignFile, recipient: Recipient) -> dict[str, object]:
    person = {"email": recipient.email, "name": recipient.name, "number": recipient.number}
    return {
        **row_context(recipient.row),
        **campaign.vars,
        "campaign": {"name": campaign.name},
        "recipient": person,
        "unsubscribe": {"url": "https://example.com/u/token", "token": "token"},
    }


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
def test_every_row_is_a_recipient_with_its_own_key(name: str) -> None:
    campaign = sample(name)
    recipients = list(Recipients(campaign))
    assert all(isinstance(recipient, Recipient) for recipient in recipients)
    assert len({recipient.key for recipient in recipients}) == len(rows(campaign.recipients.csv.name))


@pytest.mark.parametrize("name", SAMPLES)
def test_every_row_reads_well(name: str) -> None:
    campaign, texts = sample(name), compiled(name)
    for recipient in Recipients(campaign):
        assert isinstance(recipient, Recipient)
        for kind, text in texts.items():
            said = text.render(context(campaign, recipient))
            where = f"row {recipient.number}, {kind}"
            assert said.strip(), where
            assert not re.search(r"\bNone\b|\{\{|\{%", said), where
            # What a blank cell leaves behind: "Dear ,", "in ?", "on .".
            assert not re.search(r"(?<=\S) [,.?!](\s|<|$)", said.partition("<body>")[2] or said), where
        assert "\n" not in texts["subject"].render(context(campaign, recipient))


@pytest.mark.parametrize("name", SAMPLES)
def test_what_may_be_blank_is_asked_for(name: str) -> None:
    """A column with a blank cell is never printed without an `if`."""
    file = sample(name).recipients.csv.name
    blank = {column for row in rows(file) for column, cell in row.items() if not cell}
    shown = set().union(*(text.shown for text in compiled(name).values()))
    assert not blank & shown


def test_every_member_has_a_statement() -> None:
    campaign, texts = sample("mail-merge"), compiled("mail-merge")
    named = set()
    for recipient in Recipients(campaign):
        assert isinstance(recipient, Recipient)
        path = campaign.attachments_root / texts["path 0"].render(context(campaign, recipient))
        named.add(path.name)
        content = path.read_bytes()
        assert content.startswith(b"%PDF-")
        assert content.rstrip().endswith(b"%%EOF")
        assert len(content) < 4096
        assert texts["name 0"].render(context(campaign, recipient)) == f"Statement {recipient.key}.pdf"
    assert named == {path.name for path in (campaign.folder / "statements").iterdir()}


def test_the_newsletter_brings_its_images() -> None:
    campaign, html = sample("newsletter"), compiled("newsletter")["html"]
    sources = set()
    for recipient in Recipients(campaign):
        assert isinstance(recipient, Recipient)
        page = html.render(context(campaign, recipient))
        assert len(page.encode()) < 50_000  # Gmail clips near 102 KB, and the styles will be inlined
        for image in _SOURCE.finditer(page):
            sources.add(image[1])
            assert re.search(r'\balt="[^"]{5,}"', image[0])
            assert re.search(r'\bwidth="\d+"', image[0])
        assert len(re.findall("<img", page)) == len(_SOURCE.findall(page))
        assert not re.search(r"url\(|<script|<link|@import|\bsrc=.?https?:", page)
    assert sources == {
        f"assets/{path.name}" for path in (campaign.folder / "assets").iterdir() if path.is_file()
    }
    for source in sources:
        assert (campaign.folder / source).read_bytes().startswith(b"\x89PNG")
