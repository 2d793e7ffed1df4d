"""`campaign guide`: how documents are shown, and that what stands in them is so."""

from __future__ import annotations

import csv
import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import click
import openpyxl
import pytest
import yaml
from click.testing import CliRunner

from campaign.address import parse_address
from campaign.campaignfile.load import load
from campaign.campaignfile.rulenames import RULES
from campaign.campaignfile.schema import json_schema
from campaign.cli import COMMANDS, cli
from campaign.cli.commands.guide import FOLDER, topics
from campaign.message.render import Renderer
from campaign.message.tokens import Secrets
from campaign.model import Recipient
from campaign.recipients.list import Recipients
from tests.markdown import README, ROOT, blocks, commands, shell

GUIDE = {path.stem: path.read_text("utf-8") for path in sorted(FOLDER.glob("*.md"))}
EVERYTHING = "\n".join(GUIDE.values())
ENTRY = re.compile(r"^- `([\w.]+)`: (.*?)(?=^- `|^$)", re.MULTILINE | re.DOTALL)
DEFAULT = re.compile(r"Default:\s+`([^`]+)`")

# A campaign that has all which an example may lean on, and what every example changes a key of.
BASE: dict[str, Any] = {
    "name": "base",
    "recipients": {"csv": "list.csv"},
    "from": "news@example.com",
    "subject": "News",
    "templates": {"text": "body.txt.j2"},
    "smtp": {"host": "smtp.example.com"},
}
DATE = datetime(2026, 3, 20, 7, tzinfo=UTC)
LIST = """\
email,first_name,last_name,plan,invoice,assistant,time,date,amount,price
ann@example.com,Ann,Lee,pro,17,cy@example.com,9:00,2026-03-20,1234.5,"1.234,50 €"
ben@example.com,,,free,18,,,2026-11-01,7,7
"""
INVITE = next(block for block in blocks(EVERYTHING, "jinja") if "VCALENDAR" in block)
CONTACTS = """\
First Name,Last Name,E-mail 1 - Value
Ann,Lee,ann@example.com ::: ann@example.org
Ben,,
"""


def ask(*arguments: str) -> tuple[int, str]:
    """Run `campaign guide` without a terminal, and return its exit code and what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "campaign", "guide", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


def test_without_a_topic_they_are_listed_with_a_line_each() -> None:
    code, said = ask()
    assert code == 0
    assert [line.split()[0] for line in said.splitlines()] == sorted(GUIDE)
    for name, line in topics().items():
        assert len(line) > 10, name
    assert all(len(line) <= 80 for line in said.splitlines())


@pytest.mark.parametrize("name", GUIDE)
def test_a_topic_is_shown_as_it_is(name: str) -> None:
    code, said = ask(name)
    assert code == 0
    assert said.startswith(GUIDE[name].rstrip("\n"))
    assert name == "checks" or said.rstrip("\n") == GUIDE[name].rstrip("\n")
    assert said.startswith(f"# {name}: ")
    assert all(len(line) <= 80 and line.isprintable() for line in said.splitlines())


def test_the_rules_are_told_by_their_files() -> None:
    _, said = ask("checks")
    assert re.findall(r"^## (\w+)$", said, re.MULTILINE) == list(RULES)
    assert "Gmail shows the first 102 KB of an HTML part" in said


def test_an_unknown_topic_is_a_mistake_with_a_hint() -> None:
    code, said = ask("recipies")
    assert code == 2
    assert "did you mean 'recipes'?" in said
    code, said = ask("../../README")
    assert code == 2
    assert "the topics are architecture, bounces, campaign-file" in said


def test_on_a_terminal_it_goes_through_the_pager(tmp_path: Path) -> None:
    pager = tmp_path / "pager"
    pager.write_text(f'#!/bin/sh\ncat > "{tmp_path}/shown"\n')
    pager.chmod(0o755)
    ours, theirs = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, "-m", "campaign", "guide", "changes"],
            env={**os.environ, "PAGER": str(pager), "TERM": "xterm"},
            stdin=theirs,
            stdout=theirs,
            check=True,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert (tmp_path / "shown").read_text("utf-8").rstrip("\n") == GUIDE["changes"].rstrip("\n")


# --- what stands in them


def folder(path: Path) -> Path:
    """Make a folder that has every file which the examples name."""
    for text in [EVERYTHING, README]:
        for block in blocks(text, "yaml"):
            for name in re.findall(r"[\w./-]+\.(?:csv|j2|pdf|pem|key|txt)\b", block):
                file = path / name
                file.parent.mkdir(parents=True, exist_ok=True)
                known = {"contacts.csv": CONTACTS, "invite.ics.j2": INVITE}
                file.write_text(known.get(name, LIST if name.endswith(".csv") else "Hello\n"))
    book = openpyxl.Workbook()
    for sheet in (book.worksheets[0], book.create_sheet("Members")):
        for row in csv.reader(LIST.splitlines()):
            sheet.append(row)
    book.save(path / "people.xlsx")
    for number in (17, 18):
        (path / "invoices").mkdir(exist_ok=True)
        (path / f"invoices/{number}.pdf").write_bytes(b"%PDF-1.4 %%EOF")
    return path


def written(path: Path, values: Mapping[str, Any], number: int = 0) -> Path:
    """Write a campaign file, without the keys whose value is null."""
    file = path / f"campaign{number}.yaml"
    file.write_text(yaml.safe_dump({k: v for k, v in values.items() if v is not None}), "utf-8")
    return file


EXAMPLES = [
    pytest.param(block, id=f"{name}-{number}")
    for name, text in GUIDE.items()
    for number, block in enumerate(blocks(text, "yaml"), 1)
]


@pytest.mark.parametrize("block", EXAMPLES)
def test_an_example_of_yaml_is_part_of_a_campaign_file(block: str, tmp_path: Path) -> None:
    """What it leaves out is added; what it says is read, and the rows render."""
    values = yaml.safe_load(block)
    if "subject" in values.get("templates", {}):
        values["subject"] = None
    campaign = load(written(folder(tmp_path), {**BASE, **values}))
    if campaign.recipients.encoding != "utf-8" or campaign.recipients.delimiter:
        return  # of another list than ours
    if campaign.dkim is not None or campaign.templates.mjml is not None:
        return  # their files would have to be real ones
    recipients = Recipients(campaign)
    renderer = Renderer(campaign, recipients.columns, Secrets.placeholder())
    for row in recipients:
        assert isinstance(row, Recipient), row
        assert renderer.render(row, date=DATE).content


def keys_of_the_schema() -> set[str]:
    schema = json_schema()

    def below(part: Any, path: str) -> Iterator[str]:
        if isinstance(part, list):
            for one in part:
                yield from below(one, path)
        elif isinstance(part, dict):
            if "$ref" in part:
                yield from below(schema["$defs"][part["$ref"].rpartition("/")[2]], path)
            for key, value in part.get("properties", {}).items():
                yield f"{path}{key}"
                yield from below(value, f"{path}{key}.")
            for key in ("anyOf", "allOf", "items"):
                yield from below(part.get(key), path)

    return set(below(schema, ""))


def test_every_key_has_its_entry() -> None:
    found = [entry[1] for entry in ENTRY.finditer(GUIDE["campaign-file"])]
    assert sorted(found) == sorted(keys_of_the_schema())


def test_every_key_has_an_example() -> None:
    shown: set[str] = set()

    def note(value: Any, path: str) -> None:
        if isinstance(value, list):
            for one in value:
                note(one, path)
        elif isinstance(value, dict):
            for key, below in value.items():
                shown.add(f"{path}{key}")
                note(below, f"{path}{key}.")

    for block in blocks(GUIDE["campaign-file"], "yaml"):
        note(yaml.safe_load(block), "")
    assert keys_of_the_schema() - shown == set()


def test_defaults_are_what_they_are_said_to_be(tmp_path: Path) -> None:
    """A campaign that writes a default out is the campaign that leaves it out."""
    path = folder(tmp_path)
    numbers = count()
    said = 0
    for entry in ENTRY.finditer(GUIDE["campaign-file"]):
        assert re.search(r"Default:|Required\.", entry[2]), entry[1]
        default = DEFAULT.search(entry[2])
        if default is None or entry[1] == "recipients.key":
            continue
        base = {**BASE, "unsubscribe": {"mailto": "leave@example.com"}, "retry": {}, "stop_when": {}}
        base["check"] = base["workers"] = {}
        if entry[1].startswith("bounces."):
            base["bounces"] = {"imap": {"host": "i.example.com", "username": "b", "password_env": "P"}}
        before = load(written(path, base, next(numbers)))
        value = yaml.safe_load(default[1])
        whole, _, part = entry[1].rpartition(".")
        if whole == "bounces.imap":
            changed = {"bounces": {"imap": {**base["bounces"]["imap"], part: value}}}
        else:
            changed = {whole: {**base[whole], part: value}} if whole else {part: value}
        after = load(written(path, {**base, **changed}, next(numbers)))
        assert after.model_dump() == before.model_dump(), entry[1]
        said += 1
    assert said > 15


def rendered(source: str, path: Path) -> list[str]:
    """Render a snippet as a text body, or as HTML where it begins with a tag, for each row of LIST."""
    kind = "html" if source.startswith("<") else "text"
    (path / "snippet.j2").write_text(source, "utf-8")
    months = next(b for b in blocks(GUIDE["recipes"], "yaml") if "months" in b)
    values = {**BASE, **yaml.safe_load(months), "templates": {kind: "snippet.j2"}}
    campaign = load(written(folder(path), values))
    recipients = Recipients(campaign)
    renderer = Renderer(campaign, recipients.columns, Secrets.placeholder())
    rows = [row for row in recipients if isinstance(row, Recipient)]
    parts = [renderer.parts(row) for row in rows]
    return [(html if kind == "html" else text) or "" for text, html in parts]


def test_the_snippets_say_what_they_promise(tmp_path: Path) -> None:
    greeting, friend, amount, price, date, long_date, invitation = [
        rendered(source, tmp_path) for source in blocks(EVERYTHING, "jinja")
    ]
    assert [text.strip() for text in greeting] == ["Dear Ann,", "Hello,"]
    assert [text.strip() for text in friend] == ["Dear Ann,", "Dear friend of the house,"]
    assert [text.strip() for text in amount] == ["1,234.50 €", "7.00 €"]
    assert [text.strip() for text in price] == ["1.469,06 €", "8,33 €"]
    assert [text.strip() for text in date] == ["20.03.2026", "01.11.2026"]
    assert [text.strip() for text in long_date] == ["20 March 2026", "1 November 2026"]
    assert ["SUMMARY:Tea with Ann" in text for text in invitation] == [True, False]


def parsed(command: str) -> click.Context:
    """Let the command line read a command, without running it. Raises click's errors."""
    words = shlex.split(command.partition(">")[0])
    assert words[0].rpartition("/")[2] == "campaign", command
    context = cli.make_context("campaign", words[1:])
    name, found, rest = cli.resolve_command(context, context._protected_args + context.args)
    assert found is not None
    context = found.make_context(name, rest, parent=context)
    if isinstance(found, click.Group):
        _, below, rest = found.resolve_command(context, context._protected_args + context.args)
        assert below is not None
        context = below.make_context(below.name, rest, parent=context)
    return context


@pytest.mark.parametrize("name", GUIDE)
def test_commands_run(name: str, tmp_path: Path) -> None:
    """`send`, `test` and what asks a ledger of theirs are read only: README's are run against a server."""
    assert shell("campaign init my-letter", tmp_path).returncode == 0
    for command in commands(GUIDE[name]):
        verb = command.split()[1]
        if verb in ("send", "test", "export", "resolve", "bounces"):
            parsed(command)
        else:
            done = shell(command, tmp_path)
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def test_a_command_that_is_not_there_is_noticed() -> None:
    with pytest.raises(click.ClickException):
        parsed("campaign sned my-letter/campaign.yaml")
    with pytest.raises(click.ClickException):
        parsed("campaign send my-letter/campaign.yaml --accept-everything")


def test_commands_in_sentences_are_there() -> None:
    for text in [*GUIDE.values(), README]:
        for found in re.findall(r"`campaign ([a-z]+(?:-[a-z]+)?)", text):
            assert found in COMMANDS, found
        for option in set(re.findall(r"`(--[a-z-]+)", text)):
            assert option in EVERY_OPTION, option
        for topic in re.findall(r"`campaign guide ([a-z-]+)`", text):
            assert topic in GUIDE, topic


def _help(*words: str) -> str:
    return CliRunner().invoke(cli, [*words, "--help"], prog_name="campaign").output


EVERY_OPTION = {
    option
    for words in [*[(name,) for name in COMMANDS], *[("suppress", w) for w in ("add", "import", "list")]]
    for option in re.findall(r"--[a-z-]+", _help(*words))
}


@pytest.mark.parametrize(("topic", "name"), [("recipes", "send"), ("bounces", "bounces")])
def test_a_line_for_cron_is_one(topic: str, name: str) -> None:
    (block,) = blocks(GUIDE[topic], "crontab")
    *times, command = block.strip().split(maxsplit=5)
    assert len(times) == 5
    assert all(re.fullmatch(r"\*(/[0-9]{1,2})?|[0-9]{1,2}", time) for time in times)
    assert "%" not in command  # cron makes a line end of it
    folder, _, rest = command.partition(" && ")
    assert folder.startswith("cd /")
    assert rest.startswith(".venv/bin/")  # cron's PATH has only /usr/bin and /bin
    context = parsed(rest)
    assert context.command.name == name
    assert context.params["quiet"]  # else cron mails what is said
    assert context.params.get("yes", True)


def test_its_exit_codes_are_those_of_the_readme() -> None:
    table = re.findall(r"^\| (\d+) \|", README, re.MULTILINE)
    assert re.findall(r"^- (\d+): ", GUIDE["recipes"], re.MULTILINE) == table


@pytest.mark.parametrize("script", blocks(EVERYTHING, "sh"))
def test_shell_scripts_are_some(script: str, tmp_path: Path) -> None:
    done = subprocess.run(["sh", "-n"], input=script, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for line in script.splitlines():
        if line.startswith("campaign "):
            parsed(line)


@pytest.mark.parametrize("name", ["unsubscribe.key", "dkim.pem"])
def test_keys_are_made(name: str, tmp_path: Path) -> None:
    (script,) = [block for block in blocks(EVERYTHING, "sh") if "umask" in block and name in block]
    done = shell(script, tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    if name == "dkim.pem":
        dkim = {"domain": "example.com", "selector": "s1", "key_file": name}
        (tmp_path / "list.csv").write_text(LIST)
        (tmp_path / "body.txt.j2").write_text("Hello\n")
        campaign = load(written(tmp_path, {**BASE, "dkim": dkim}))
        recipients = Recipients(campaign)
        renderer = Renderer(campaign, recipients.columns, Secrets.placeholder())
        assert b"DKIM-Signature" in renderer.render(recipients.row(1), date=DATE).content
        assert re.fullmatch(r"[A-Za-z0-9+/]{300,}={0,2}", done.stdout.strip())


def test_the_server_s_half_of_the_token_agrees(tmp_path: Path) -> None:
    (source,) = blocks(GUIDE["recipes"], "python")
    scope: dict[str, Any] = {}
    exec(source, scope)
    url = "https://example.com/{{ unsubscribe.token }}"
    values = {**BASE, "unsubscribe": {"url": url, "secret_file": "unsubscribe.key"}}
    campaign = load(written(folder(tmp_path), values))
    recipients = Recipients(campaign)
    renderer = Renderer(campaign, recipients.columns, Secrets(b"ledger", b"ours"))
    content = renderer.render(recipients.row(1), date=DATE).content.decode()
    found = re.search(r"https://example\.com/([0-9a-f]{64})", content)
    assert found is not None
    assert scope["is_genuine"]("ours", parse_address("ann@example.com"), found[1])
    assert not scope["is_genuine"]("theirs", "ann@example.com", found[1])


def test_completion_completes() -> None:
    environment = {"COMP_WORDS": "campaign gui", "COMP_CWORD": "1", "_CAMPAIGN_COMPLETE": "bash_complete"}
    program = Path(sys.executable).with_name("campaign")
    done = subprocess.run(
        [program], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["plain,guide"]


def test_files_that_the_architecture_names_are_there() -> None:
    rooms = [ROOT, *(path for path in [ROOT / "campaign", *(ROOT / "campaign").rglob("*")] if path.is_dir())]
    for name in re.findall(r"`([\w/]+(?:\.py|\.md|/))`", GUIDE["architecture"]):
        assert any((room / name).exists() for room in rooms), name


def test_no_document_of_ours_is_cited_that_is_not_here() -> None:
    """A reader of the repository has nothing else to look it up in."""
    own = Path(__file__)
    names = "|".join(("DESIGN", "FACTS", "HOUSE", "BRIEF", "NOTES", "ROADMAP"))
    sources = [ROOT / "README.md", ROOT / "pyproject.toml"]
    for place in ("campaign", "tests", "templates"):
        sources += [p for kind in ("*.py", "*.md", "*.yaml", "*.j2") for p in (ROOT / place).rglob(kind)]
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in sources
        if path != own
        for match in re.finditer(rf"\b(?:{names})\b(?:\.md)?", path.read_text("utf-8", errors="replace"))
    ]
    assert found == []
