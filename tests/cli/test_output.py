"""How things are said: whole words in help, no bar left behind, a line of its own for an interruption."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import select
import signal
import stat
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from campaign.cli import COMMANDS, cli, main
from tests.cli.conftest import ANNA, Run
from tests.e2e.folder import CampaignFolder
from tests.servers.postfix import Postfix

Folders = Callable[..., CampaignFolder]


def every_command(group: click.Group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield each command with the words that call it, those of groups too."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from every_command(command, *path, name)


EVERY = dict(every_command(cli))


@pytest.mark.parametrize("path", [(), *EVERY], ids=" ".join)
def test_no_word_of_the_help_is_cut_off(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*path, "--help"]) == 0
    said = capsys.readouterr().out
    assert all(len(line) <= 80 for line in said.splitlines())
    words = " ".join(said.split())
    command = EVERY.get(path, cli)
    for parameter in command.params:
        help_text = getattr(parameter, "help", None)
        assert help_text is None or " ".join(help_text.split()) in words
    inner = [name for name in EVERY if name[:-1] == path]
    for name in inner:
        line = COMMANDS[name[0]] if len(name) == 1 else (EVERY[name].help or "").split("\n\n")[0]
        assert f"{name[-1]} {' '.join(line.split()).removesuffix('.')}" in words


class Terminal:
    """A terminal of so many columns; a process has it for its stderr, and what else is asked for."""

    def __init__(self, columns: int = 80) -> None:
        self._ours, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.said = ""

    def run(self, *arguments: str, **streams: Any) -> subprocess.Popen[bytes]:
        """Start a command on it, in the foreground of a session of its own."""

        def prepare() -> None:
            fcntl.ioctl(2, termios.TIOCSCTTY, 0)
            # Whoever runs the tests in the background has it turned off for all that they start.
            signal.signal(signal.SIGINT, signal.SIG_DFL)

        return subprocess.Popen(
            [sys.executable, "-m", "campaign", *arguments],
            stderr=self.theirs,
            start_new_session=True,
            preexec_fn=prepare,
            **streams,
        )

    def type(self, keys: bytes) -> None:
        """Type keys."""
        os.write(self._ours, keys)

    def read(self, until: str | None = None) -> str:
        """Return what it shows until some words, or until nobody has it open any more."""
        if until is None:
            os.close(self.theirs)
        try:
            while until is None or until not in self.said:
                assert select.select([self._ours], [], [], 60)[0], f"nothing more was shown: {self.said!r}"
                if not (chunk := os.read(self._ours, 65536)):
                    break
                self.said += chunk.decode()
        except OSError:  # Linux, where the other end was closed
            os.close(self._ours)
        return self.said


@pytest.fixture
def long_list(folder: Path) -> None:
    rows = "".join(f"p{number}@example.com,Oslo\n" for number in range(3000))
    Path("list.csv").write_text("email,city\n" + rows)


PREVIEW = ("preview", "campaign.yaml", "--pick", "2")


@pytest.mark.usefixtures("long_list")
def test_no_bar_is_left_behind_a_closed_pipe() -> None:
    terminal = Terminal()
    reader, writer = os.pipe()
    os.close(reader)
    process = terminal.run(*PREVIEW, stdout=writer)
    os.close(writer)
    said = terminal.read()
    assert process.wait() == 0
    assert "reading" in said
    assert said.split("\r")[-2].strip() == ""  # it was overwritten with blanks
    assert said.endswith("\r")


@pytest.mark.usefixtures("long_list")
def test_a_bar_is_whole_where_the_terminal_says_that_it_has_no_columns() -> None:
    terminal = Terminal(columns=0)
    process = terminal.run(*PREVIEW, stdout=terminal.theirs)
    said = terminal.read()
    assert process.wait() == 0
    assert re.search(r"reading: +\d+%\|.*\| .*B/s\]", said)


@pytest.mark.usefixtures("long_list")
def test_no_bar_stands_before_a_line() -> None:
    terminal = Terminal()
    process = terminal.run(*PREVIEW, stdout=terminal.theirs)
    said = terminal.read()
    assert process.wait() == 0
    assert re.search(r"reading.*\r +\rRow 1, line 2", said)


def test_an_interruption_has_a_line_of_its_own(postfix: Postfix, campaign_for: Folders) -> None:
    """The terminal has shown ^C, and the cursor stands behind it."""
    folder = campaign_for(postfix)
    folder.people(2)
    terminal = Terminal()
    process = terminal.run(
        "send", "campaign.yaml", cwd=folder.folder, stdin=terminal.theirs, stdout=terminal.theirs
    )
    terminal.read(until="Send 2 now? [y/N]: ")
    time.sleep(1)  # Python's readline loses a signal between its prompt and its wait for a key
    terminal.type(b"\x03")
    said = terminal.read()
    assert process.wait() == 130
    assert said.endswith("^C\r\ninterrupted\r\n")
    assert folder.counts() in ({}, {"pending": 2})


def test_a_log_of_attempts_is_its_owners_alone(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix)
    folder.people(2)
    log = folder.folder / "attempts.log"
    log.write_text("kept\n")
    log.chmod(0o644)
    assert folder.send("--log", "attempts.log").returncode == 0
    assert [line[:7] for line in log.read_text().splitlines()] == ["kept", '{"key":', '{"key":']
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    before = (folder.folder / "list.csv").read_text()
    refused = folder.send("--log", "list.csv")
    assert refused.returncode == 2
    assert "list.csv is one of the campaign's own files (recipients.csv)" in refused.stderr
    assert (folder.folder / "list.csv").read_text() == before


def test_what_is_not_utf_8_is_said_as_it_can_be(run: Run, folder: Path) -> None:
    """A pipe gets a CSV in UTF-8 under any locale."""
    run("suppress", "add", ANNA, "--reason", "böse 漢字")
    done = subprocess.run(
        [sys.executable, "-m", "campaign", "suppress", "export"],
        capture_output=True,
        check=True,
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    )
    assert "böse 漢字" in done.stdout.decode("utf-8")


@pytest.mark.parametrize("path", [(), *EVERY], ids=" ".join)
def test_every_help_says_what_is_next(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*path, "-h"]) == 0
    last = capsys.readouterr().out.rstrip().split("\n\n")[-1].strip()
    assert last.startswith("Next: " if path else "Begin with `campaign init DIR`")
    for named in re.findall(r"`campaign ([a-z]+)", last):
        assert named in COMMANDS


def test_a_name_that_the_locale_cannot_express(folder: Path) -> None:
    with Path("campaign.yaml").open("a", encoding="utf-8") as file:
        file.write("attachments: [Übersicht.pdf]\n")
    done = subprocess.run(
        [sys.executable, "-m", "campaign", "check", "campaign.yaml"],
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "error: the locale's encoding (ascii) cannot express the name of a file" in done.stderr
    assert "set PYTHONUTF8=1, or a UTF-8 locale" in done.stderr


def test_the_version_says_where_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"campaign, version \S+", first)
    assert "`campaign -h`" in second


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["send"], "Try 'campaign send --help' for help."),
        (["nope"], "Try 'campaign --help' for help."),
        (["send", "none.yaml"], "name a campaign file, or make one: `campaign init DIR`"),
        (["send", "."], "name the campaign file in it"),
        (["export", "campaign.yaml"], "`campaign send` makes it"),
        (["export", "campaign.yaml", "--status", "odd"], "is not one of pending, "),
        (["send", "campaign.yaml", "--accept", "odd"], "is none of content, "),
        (["send", "campaign.yaml"], "look at the plan with --dry-run, then add --yes"),
        (["guide", "odd"], "the topics are "),
        (["suppress", "list"], "name the campaign file with --campaign FILE"),
        (["rehearse", "campaign.yaml", "--faults", "odd"], "such as "),
        (["preview", "campaign.yaml", "--row", "99"], "the list has 2"),
        (["init", "/proc/none/x"], "name another folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_says_what_to_do(
    run: Run, folder: Path, arguments: list[str], hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert hint in run(*arguments, code=2)


@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "campaign.yaml", "--status", "odd,accepted,even"],
        ["send", "campaign.yaml", "--accept", "odd,content,even"],
        ["rehearse", "campaign.yaml", "--faults", "odd,refuse:5%,even:3%"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_each_wrong_word_of_an_option_is_named(run: Run, folder: Path, arguments: list[str]) -> None:
    said = run(*arguments, code=2)

    assert "'odd' is n" in said
    assert "'even" in said
