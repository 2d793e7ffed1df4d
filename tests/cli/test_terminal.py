"""Nothing that comes from outside steers the terminal, whichever command says it, and however it ends."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from campaign.cli import COMMANDS, main
from campaign.ledger import Ledger, Suppression
from campaign.model import Status
from campaign.sending.network import connection
from tests.ledger.book import NOW, enrol, intent, result, row, start

# OSC 0 sets the title, CSI in one character of C1, and an override turns what follows around.
EVIL = "\x1b]0;owned\x07\x9b31m\u202egpj\u2028"
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
SHOWN = r"\x1b]0;owned\x07\x9b31m\u202egpj\u2028"
ESCAPED = EVIL.encode("unicode_escape").decode()

YAML = f"""
name: news
recipients: "list.csv"
from: news@example.com
subject: "Hello {{{{ city }}}}"
templates: {{text: "body{ESCAPED}.txt"}}
vars: {{product: "{ESCAPED}"}}
smtp: {{host: localhost, port: 9}}
ledger: "ledger{ESCAPED}.db"
"""
LIST = f"email,city,other {EVIL}\nanna@example.com,Oslo,{EVIL}\nben@example.com,Bergen,{EVIL}\n"
BODY = f"Hello {{{{ product }}}} {{{{ row['other {EVIL}'] }}}}\n{{% include 'part{EVIL}.txt' %}}\n"

# What is wrong, and the file that has it: name, and what is replaced by what in it.
FAULTS: dict[str, tuple[str, str, str]] = {
    "nothing": ("campaign.yaml", "", ""),
    "a name": ("campaign.yaml", "news", f'"{ESCAPED}"'),
    "a key": ("campaign.yaml", "vars:", f'"key{ESCAPED}": 1\nvars:'),
    "a value": ("campaign.yaml", "port: 9", f'port: "{ESCAPED}"'),
    "a path": ("campaign.yaml", "list.csv", f"none{ESCAPED}.csv"),
    "a template's path": ("campaign.yaml", "body", "none"),
    "a header": ("list.csv", "email,", f"Mail{EVIL},"),
    "a double header": ("list.csv", "email,city", f"email,city{EVIL},city{EVIL}"),
    "an address": ("list.csv", "anna@", f"anna{EVIL}@"),
    "a name in a template": (f"body{EVIL}.txt", "product", "prodct"),
    "a mistake in an included file": (f"part{EVIL}.txt", "part", f"{{{{ 'x' {EVIL}"),
    "an unknown include": (f"body{EVIL}.txt", "'part", "'nothing"),
}
ON_A_FILE = [
    "check FILE",
    "check FILE --json",
    "check FILE --strict --server",
    "preview FILE",
    "preview FILE --html page.html",
    "preview FILE --eml messages",
    "preview FILE --to EVIL",
    "test FILE me@example.com",
    "test FILE EVIL@example.com",
    "rehearse FILE -v",
    "rehearse FILE --faults EVIL",
    "send FILE --dry-run",
    "send FILE --yes --new-ledger -v",
    "backup FILE EVIL",
    "send FILE --accept EVIL",
    "send FILE --yes --log none/EVIL",
    "status FILE",
    "status FILE --json",
    "export FILE",
    "export FILE --status EVIL",
    "export FILE -o none/EVIL",
    "export FILE -o EVIL.csv",
    "export FILE -o list.csv",
    "bounces FILE --mbox EVIL",
    "bounces FILE --mbox mbox",
    "bounces FILE --maildir . --dry-run",
    "bounces FILE",
    "bounces FILE EVIL",
    "resolve FILE",
    "resolve FILE --accepted EVIL",
    "resolve FILE --from-log EVIL",
    "report FILE",
    "report FILE -o none/EVIL",
    "unsubscribe-server FILE --listen EVIL",
    "work FILE --accounts EVIL",
    "stop FILE",
    "workers FILE",
    "suppress list FILE",
    "suppress list --campaign FILE",
    "suppress export FILE",
    "suppress add --campaign FILE EVIL",
    "suppress remove --campaign FILE EVIL",
    "forget --campaign FILE EVIL",
]
ALONE = [
    "EVIL",
    "--EVIL",
    "check",
    "check EVIL",
    "check --EVIL",
    "check none.yaml EVIL",
    "guide EVIL",
    "init EVIL",
    "init --from EVIL x",
    "init campaign.yaml/EVIL",
    "schema EVIL",
    "preview EVIL.yaml",
    "preview x --row EVIL",
    "suppress EVIL",
    "suppress list --ledger EVIL",
    "suppress import EVIL",
    "suppress import list.csv",
    "suppress add --ledger EVIL/x a@example.com",
    "forget EVIL",
]
DATA = re.compile(r"^(suppress )?export FILE( |$)(?!-o)")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A campaign that is hostile wherever it can be; some of it is in the ledger already."""
    folder = tmp_path / f"folder{EVIL}"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(connection, "OPENINGS", 1)
    Path("campaign.yaml").write_text(YAML, "utf-8")
    Path("list.csv").write_text(LIST, "utf-8")
    Path(f"body{EVIL}.txt").write_text(BODY, "utf-8")
    Path("mbox").write_text(f"From x\nFrom: {EVIL} <{EVIL}>\nSubject: {EVIL}\n\n{EVIL}\n", "utf-8")
    Path(f"part{EVIL}.txt").write_text("part\n", "utf-8")
    ledger = Ledger.open(Path(f"ledger{EVIL}.db"), "news", folder / "campaign.yaml")
    enrol(ledger, [row(1, "cy@example.com", city=EVIL), row(2, "di@example.com")], columns=("email", "city"))
    ledger.suppressions.add([Suppression("eve@example.com", f"asked {EVIL}", NOW)])
    sending = start(ledger)
    for key, status in (("cy@example.com", Status.IN_DOUBT), ("di@example.com", Status.REFUSED)):
        sending.claim(NOW, 1)
        sending.record((), (intent(key),))
        sending.record((result(key, status, reply=f"550 5.1.1 no {EVIL}"),), ())
    sending.end(NOW)
    ledger.close()
    return folder


def said(capfd: pytest.CaptureFixture[str], line: str, file: str = "campaign.yaml") -> tuple[int, str]:
    """Run a command; return its exit code and what reached the terminal, without what is data."""
    arguments = [word.replace("EVIL", EVIL).replace("FILE", file) for word in line.split()]
    code = main(arguments)
    out, err = capfd.readouterr()
    return code, err if DATA.search(line) and code == 0 else out + err


@pytest.mark.parametrize("line", ON_A_FILE)
@pytest.mark.parametrize("fault", FAULTS)
def test_no_command_passes_on_what_steers(
    folder: Path, capfd: pytest.CaptureFixture[str], fault: str, line: str
) -> None:
    name, before, after = FAULTS[fault]
    text = Path(name).read_text("utf-8")
    assert before in text
    Path(name).write_text(text.replace(before, after, 1), "utf-8")
    code, terminal = said(capfd, line)
    assert code != 1, terminal
    assert CONTROLS.findall(terminal) == []


@pytest.mark.parametrize("line", ALONE)
def test_nor_does_a_mistake_on_the_command_line(
    folder: Path, capfd: pytest.CaptureFixture[str], line: str
) -> None:
    code, terminal = said(capfd, line)
    assert code != 1, terminal
    assert CONTROLS.findall(terminal) == []
    assert (SHOWN in terminal) == ("EVIL" in line and line != "forget EVIL"), terminal


def test_a_campaign_file_of_such_a_name(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = f"campaign{EVIL}.yaml"
    Path("campaign.yaml").rename(file)
    for line in ON_A_FILE:
        code, terminal = said(capfd, line, file)
        assert code != 1, terminal
        assert CONTROLS.findall(terminal) == [], line


def test_every_command_is_tried() -> None:
    tried = {line.split()[0] for line in (*ON_A_FILE, *ALONE)}
    assert tried - {"EVIL", "--EVIL"} == set(COMMANDS)


def test_what_steers_is_shown_as_escapes(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert f"asked {SHOWN}" in said(capfd, "suppress list FILE")[1]
    assert f"no {SHOWN}" in said(capfd, "resolve FILE")[1]
    assert f"No such command '{SHOWN}'" in said(capfd, "EVIL")[1]
    Path("campaign.yaml").write_text(YAML + f'"key{ESCAPED}": 1\n', "utf-8")
    assert f": key{SHOWN}: " in said(capfd, "check FILE")[1]
    problem, *_ = json.loads(said(capfd, "check FILE --json")[1])
    assert problem["path"] == f"key{EVIL}"  # what is read from the JSON is what was written


def test_data_is_exact_in_a_pipe(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for line in ("export campaign.yaml", "suppress export campaign.yaml"):
        assert main(line.split()) == 0
        assert EVIL in capfd.readouterr().out


@pytest.mark.parametrize(
    "line", ["export campaign.yaml", "suppress export campaign.yaml", "suppress list campaign.yaml"]
)
def test_and_visible_on_a_terminal(folder: Path, line: str) -> None:
    code, terminal = on_a_terminal(line.split())
    assert code == 0
    assert SHOWN in terminal
    assert CONTROLS.findall(terminal.replace("\r\n", "\n")) == []


def on_a_terminal(arguments: list[str]) -> tuple[int, str]:
    """Run a command on a terminal of its own; return its exit code and what it shows there."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "campaign", *arguments], stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # the other end was closed
        pass
    os.close(ours)
    return process.wait(), shown.decode("utf-8")
