"""Output that cannot be written: a send goes on, and a command whose purpose is the output fails."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from campaign.model import Status
from tests.e2e.folder import CampaignFolder, Folders
from tests.servers.postfix import Postfix

SEND = "send campaign.yaml --yes --new-ledger"


@pytest.fixture
def folder(postfix: Postfix, campaign_for: Folders) -> CampaignFolder:
    folder = campaign_for(postfix)
    folder.people(30)
    return folder


def shell(folder: CampaignFolder, command: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which `campaign` is the command."""
    return subprocess.run(
        ["bash", "-c", f'set -o pipefail; campaign() {{ "{sys.executable}" -m campaign "$@"; }}; {command}'],
        cwd=folder.folder,
        env=folder.env,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    "where", ["-v 2>&1 | head -1", "2>&1 | true", "-v >/dev/full 2>&1", ">&-", "--log /dev/full 2>/dev/full"]
)
def test_a_send_whose_output_is_closed_continues(folder: CampaignFolder, where: str) -> None:
    sent = shell(folder, f"campaign {SEND} {where}")
    assert sent.returncode == 0, sent.stderr
    assert folder.counts() == {"accepted": 30}


def test_a_log_that_cannot_be_written_is_reported_once(folder: CampaignFolder) -> None:
    sent = folder.send("--log", "/dev/full")
    assert sent.returncode == 0
    wanted = "warning: /dev/full cannot be written any more: No space left on device; the ledger has it all"
    assert sent.stderr.splitlines().count(wanted) == 1


@pytest.mark.parametrize(
    "command",
    [
        "export campaign.yaml",
        "status campaign.yaml",
        "suppress list campaign.yaml",
        "suppress export campaign.yaml",
        "guide",
        "guide checks",
        "schema",
        "--help",
        "check campaign.yaml",
        "send campaign.yaml --dry-run",
    ],
)
def test_a_command_whose_output_cannot_be_written_fails(folder: CampaignFolder, command: str) -> None:
    assert folder.send().returncode == 0
    assert shell(folder, "campaign suppress add a@x.test --campaign campaign.yaml").returncode == 0
    written = shell(folder, f"campaign {command} >/dev/full")
    assert written.returncode == 2
    assert written.stderr == "error: the output cannot be written: No space left on device\n"
    ended = shell(folder, f"campaign {command} | true")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_no_room_for_temporary_files_is_reported_without_a_traceback(folder: CampaignFolder) -> None:
    rehearsed = shell(folder, "ulimit -f 0; campaign rehearse campaign.yaml")
    assert rehearsed.returncode == 2
    assert rehearsed.stderr.startswith("error: No usable temporary directory found in [")
    assert rehearsed.stderr.endswith("]: make room there, or name another folder in TMPDIR\n")


def test_quiet_shows_only_errors(folder: CampaignFolder, tmp_path: Path) -> None:
    folder.list(["user1@example.test,One", "user1@example.test,One", "user2@example.test,"])
    sent = folder.send("-q")
    assert (sent.returncode, sent.stdout, sent.stderr) == (0, "", "")
    folder.list(["no address,One"])
    assert folder.send("-q").stderr.startswith("error: list.csv:2: ")


def test_closing_the_terminal_ends_the_run_in_order(folder: CampaignFolder) -> None:
    folder.people(60)
    folder.write(rate="10/second")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "campaign", *SEND.split(), "-v"],
        cwd=folder.folder,
        env=folder.env,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    folder.wait_for(Status.ACCEPTED, 3)
    os.close(ours)
    assert process.wait(timeout=60) == 130
    counts = folder.counts()
    assert set(counts) == {"accepted", "pending"}
    folder.write()
    assert folder.send().returncode == 0
    assert len(folder.server.wait_delivered()) == 60


def test_a_run_under_nohup_survives_the_terminal(folder: CampaignFolder) -> None:
    folder.write(rate="10/second")
    run = f"(trap '' HUP; exec '{sys.executable}' -m campaign {SEND})"
    sent = shell(folder, f"{run} & sleep 1; kill -HUP $! && wait $!")
    assert sent.returncode == 0, sent.stderr
    assert folder.counts() == {"accepted": 30}


def test_a_run_in_the_background_can_be_interrupted(folder: CampaignFolder) -> None:
    folder.people(60)
    folder.write(rate="10/second")
    # A shell without job control ignores SIGINT in processes started with &.
    process = subprocess.Popen(
        ["bash", "-c", f'"{sys.executable}" -m campaign {SEND} & echo $!; wait $!'],
        cwd=folder.folder,
        env=folder.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    number = int(process.stdout.readline())
    folder.wait_for(Status.ACCEPTED, 3)
    os.kill(number, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert set(folder.counts()) == {"accepted", "pending"}
