"""The ledger is a file, and files get lost, moved, copied and restored: nobody is mailed twice for it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from campaign.model import Status
from tests.e2e.folder import CampaignFolder, kill
from tests.ledger.namespace import ROOT
from tests.need import need
from tests.servers.postfix import Postfix

Folders = Callable[..., CampaignFolder]


@pytest.fixture
def folder(postfix: Postfix, campaign_for: Folders) -> CampaignFolder:
    made = campaign_for(postfix, rate="10/second")
    made.people(20)
    return made


def killed(folder: CampaignFolder) -> None:
    """Send some, and die."""
    process = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_for(Status.ACCEPTED, 3)
    kill(process)


def mailed(folder: CampaignFolder, count: int) -> Counter[str]:
    return Counter(mail.recipient for mail in folder.server.wait_delivered(count))


def plainly(folder: CampaignFolder, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command as it stands: without --new-ledger."""
    command = [sys.executable, "-m", "campaign", *arguments]
    return subprocess.run(
        command, cwd=folder.folder, env=folder.env, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


SEND = ("send", "campaign.yaml", "--yes")


def test_a_lost_ledger_does_not_mail_everybody_again(folder: CampaignFolder) -> None:
    first = plainly(folder, *SEND)
    assert first.returncode == 2
    assert "add --new-ledger" in first.stderr
    assert not (folder.folder / "ledger.db").exists()
    assert "it knows nobody" in plainly(folder, "send", "campaign.yaml", "--dry-run").stdout
    assert plainly(folder, "test", "campaign.yaml", "me@example.test").returncode == 0
    assert plainly(folder, *SEND).returncode == 2  # a test makes a ledger, which knows nobody either
    assert plainly(folder, *SEND, "--new-ledger").returncode == 0
    assert plainly(folder, *SEND).returncode == 0
    for file in folder.folder.glob("ledger.db*"):
        file.unlink()
    assert plainly(folder, *SEND).returncode == 2
    assert len(folder.server.wait_delivered(21)) == 21


@pytest.mark.parametrize("to", ["gone", "another"])
def test_a_ledger_that_is_lost_during_a_run_ends_it(folder: CampaignFolder, to: str) -> None:
    folder.write(rate="1/second")
    process = folder.start(*SEND)
    folder.wait_for(Status.ACCEPTED)
    ledger = folder.folder / "ledger.db"
    if to == "another":
        shutil.copy(ledger, folder.folder / "copy.db")
        (folder.folder / "copy.db").replace(ledger)
    else:
        ledger.unlink()
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 5, stderr
    assert "ledger.db is another file than when this run began, or is gone" in stderr


def test_a_ledger_with_two_names_is_refused(folder: CampaignFolder) -> None:
    folder.send("--limit", "1")
    os.link(folder.folder / "ledger.db", folder.folder / "second.db")
    for command in (SEND, ("status", "campaign.yaml")):
        refused = plainly(folder, *command)
        assert refused.returncode == 2
        assert "has a second name (a hard link)" in refused.stderr
    (folder.folder / "second.db").unlink()
    # The name under which it was made, left by a process that was killed at that moment.
    os.link(folder.folder / "ledger.db", folder.folder / ".ledger.db.0123abcd")
    assert plainly(folder, *SEND).returncode == 0
    assert not (folder.folder / ".ledger.db.0123abcd").exists()


def test_a_ledger_that_is_mounted_by_itself_is_refused(folder: CampaignFolder) -> None:
    need("unshare")
    folder.send("--limit", "1")
    (folder.folder / "mounted here.db").touch()
    folder.write(ledger="mounted here.db")
    command = (
        f'mount --bind ledger.db "mounted here.db" && exec {sys.executable} -m campaign {" ".join(SEND)}'
    )
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", command],
        cwd=folder.folder,
        env={**folder.env, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if "mount:" in done.stderr or "unshare:" in done.stderr:
        pytest.skip("may not mount")
    assert done.returncode == 2, done.stderr
    assert "is itself a mount point" in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["status", "campaign.yaml"],
        ["export", "campaign.yaml"],
        ["report", "campaign.yaml", "-o", "page.html"],
        ["resolve", "campaign.yaml"],
        ["resolve", "campaign.yaml", "--pending", "--all"],
        ["suppress", "list"],
        ["suppress", "add", "user20@example.test"],
        ["forget", "user20@example.test"],
        ["check", "campaign.yaml"],
        ["preview", "campaign.yaml"],
        ["send", "campaign.yaml", "--dry-run"],
        ["backup", "campaign.yaml", "copy.db"],
    ],
    ids=lambda command: " ".join(command[:2] if command[0] == "suppress" else [command[0], *command[2:3]]),
)
def test_after_kill_9_each_command_leaves_a_ledger_that_send_goes_on_with(
    folder: CampaignFolder, command: list[str]
) -> None:
    killed(folder)
    done = plainly(folder, *command)
    assert done.returncode == 0, done.stderr
    sent = plainly(folder, *SEND)
    assert sent.returncode in (0, 4), sent.stderr


def test_a_ledger_without_its_wal_is_refused_until_the_server_s_log_has_spoken(
    folder: CampaignFolder,
) -> None:
    killed(folder)
    (folder.folder / "ledger.db-wal").unlink()
    # Not even after other commands have opened it.
    for command in (SEND, ("status", "campaign.yaml"), SEND, ("suppress", "add", "x@example.test"), SEND):
        done = plainly(folder, *command)
        if command is SEND:
            assert done.returncode == 2
            assert "messages may be missing in this ledger: its -wal file is missing" in done.stderr
    (folder.folder / "mail.log").write_text(folder.server.log())
    assert plainly(folder, "resolve", "campaign.yaml", "--from-log", "mail.log").returncode == 0
    assert plainly(folder, *SEND).returncode == 0
    assert set(mailed(folder, 20).values()) == {1}


def test_a_backup_that_is_restored_knows_that_it_is_old(folder: CampaignFolder) -> None:
    process = folder.start(*SEND)
    folder.wait_for(Status.ACCEPTED, 3)
    made = plainly(folder, "backup", "campaign.yaml", "copy.db")
    assert made.returncode == 0, made.stderr
    assert stat.S_IMODE((folder.folder / "copy.db").stat().st_mode) == 0o600
    assert process.wait(60) == 0
    assert plainly(folder, "backup", "campaign.yaml", "copy.db").returncode == 2  # not over another
    assert plainly(folder, "backup", "campaign.yaml", "ledger.db", "--force").returncode == 2
    for file in folder.folder.glob("ledger.db*"):
        file.unlink()
    (folder.folder / "copy.db").rename(folder.folder / "ledger.db")
    assert folder.counts()["pending"] > 0
    refused = plainly(folder, *SEND)
    assert refused.returncode == 2
    assert "it is a copy of 2" in refused.stderr
    (folder.folder / "mail.log").write_text(folder.server.log())
    settled = plainly(folder, "resolve", "campaign.yaml", "--from-log", "mail.log")
    assert "that waited had been sent before: settled as accepted" in settled.stdout
    assert folder.counts() == {"accepted": 20}
    assert plainly(folder, *SEND).returncode == 0
    assert set(mailed(folder, 20).values()) == {1}


def test_a_backup_that_nothing_was_sent_after_goes_on(folder: CampaignFolder) -> None:
    folder.send("--limit", "2")
    assert plainly(folder, "backup", "campaign.yaml", "copy.db").returncode == 0
    Path(folder.folder / "copy.db").replace(folder.folder / "ledger.db")
    assert plainly(folder, *SEND).returncode == 2
    assert plainly(folder, "resolve", "campaign.yaml", "--nothing-missing").returncode == 0
    assert plainly(folder, *SEND).returncode == 0
    assert set(mailed(folder, 20).values()) == {1}
