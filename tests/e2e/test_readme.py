"""The commands in the README are run as written, in order, like a new user would."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from campaign.campaignfile.load import load
from campaign.cli import COMMANDS, cli
from tests.markdown import README, blocks, commands
from tests.servers.postfix import Postfix


def test_the_five_steps_work(postfix: Postfix, tmp_path: Path) -> None:
    steps = commands(README)
    assert [command.split()[1] for command in steps] == [
        "init", "check", "preview", "rehearse", "check", "test", "send", "status",
    ]  # fmt: skip
    env = {**os.environ, "SMTP_PASSWORD": "secret"}
    for command in steps:
        if command.split()[1] in ("send", "status"):
            continue
        done = _run(command, tmp_path, env)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        if " init " in command:
            _edit(tmp_path / "my-letter" / "campaign.yaml", postfix)
    assert "347 of 347 accepted" in _run(steps[3], tmp_path, env).stdout
    assert [mail.recipient for mail in postfix.wait_delivered(1)] == ["me@example.com"]

    sent = _run(steps[6], tmp_path, env, answer="y\n")
    assert sent.returncode == 0, sent.stderr
    assert "Send 347 now?" in sent.stderr
    assert len(postfix.wait_delivered(348)) == 348
    status = _run(steps[7], tmp_path, env)
    assert "347 of 347 accepted" in status.stdout

    declined = _run(steps[6], tmp_path, env, answer="n\n")
    assert declined.returncode == 0  # nothing is left to send, and nobody is asked


def _edit(file: Path, server: Postfix) -> None:
    """Do what step 2 tells a user to do: name their own server."""
    text = file.read_text("utf-8")
    smtp = {"host": "localhost", "port": server.port, "ca_file": str(server.ca_file)}
    file.write_text(text[: text.index("\nsmtp:")] + "\n" + yaml.safe_dump({"smtp": smtp}), "utf-8")


def _run(
    command: str, folder: Path, env: dict[str, str], answer: str = ""
) -> subprocess.CompletedProcess[str]:
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer.encode())
        return subprocess.run(
            [sys.executable, "-m", *command.split()],
            cwd=folder,
            env=env,
            stdin=theirs if answer else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
    finally:
        os.close(ours)
        os.close(theirs)


def test_the_table_of_commands_is_complete() -> None:
    table = README[README.index("## Commands") : README.index("## What it guarantees")]
    assert set(re.findall(r"^\| `campaign ([\w-]+)", table, re.MULTILINE)) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_options_named_in_the_readme_exist(name: str) -> None:
    shown = CliRunner().invoke(cli, [name, "--help"], prog_name="campaign")
    assert shown.exit_code == 0, shown.output
    row = next(line for line in README.splitlines() if line.startswith(f"| `campaign {name}"))
    for option in re.findall(r"--[\w-]+", row):
        assert option in shown.output


def test_the_campaign_file_in_the_readme_is_valid(tmp_path: Path) -> None:
    (text,) = blocks(README, "yaml")
    for name in ("subscribers.csv", "body.txt.j2", "body.html.j2", "assets/terms.pdf"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("email,first_name,last_name,plan,invoice\n")
    (tmp_path / "campaign.yaml").write_text(text, "utf-8")
    assert load(tmp_path / "campaign.yaml").name == "spring-newsletter"


def test_the_two_commands_are_on_a_line_each() -> None:
    lines = [line for line in README.splitlines() if line.startswith("python3 -m venv .venv && ")]
    assert len([line for line in lines if "rehearse" in line]) == 1
    assert len([line for line in lines if "pytest" in line]) == 1


def test_the_readme_is_short_enough() -> None:
    """Longer explanations are in the guide."""
    assert len(README.splitlines()) <= 250
