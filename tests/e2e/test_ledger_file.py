"""The ledger's file is lost, moved, copied or restored: nobody is mailed twice because of it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from campaign.model import Status
from tests.e2e.folder import CampaignFolder, Folders, kill, until
from tests.ledger.namespace import ROOT
from tests.need import need
from tests.servers.postfix import Postfix


@pytest.fixture
def folder(postfix: Postfix, campaign_for: Folders) -> CampaignFolder:
    made = campaign_for(postfix, rate="10/second")
    made.people(20)
    return made


def killed(folder: CampaignFolder) -> None:
    """Send some messages, and be killed."""
    process = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_for(Status.ACCEPTED, 3)
    kill(process)


def mailed(folder: CampaignFolder, count: int) -> Counter[str]:
    return Counter(mail.recipient for mail in folder.server.wait_delivered(count))


def plainly(
    folder: CampaignFolder, *arguments: str, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command exactly as given, without --new-ledger."""
    command = [sys.executable, "-m", "campaign", *arguments]
    return subprocess.run(
        command,
        cwd=cwd or folder.folder,
        env=folder.env,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def sender(folder: CampaignFolder) -> str:
    """Return a sender address of this test only: other tests mail the same recipients through the server."""
    return f"{folder.folder.stat().st_ino}@example.com"


def write_log(folder: CampaignFolder) -> None:
    folder.server.wait_delivered()
    (folder.folder / "mail.log").write_text(folder.server.log())


SEND = ("send", "campaign.yaml", "--yes")


def test_after_losing_the_ledger_nobody_is_mailed_again_without_being_asked(folder: CampaignFolder) -> None:
    first = plainly(folder, *SEND)
    assert first.returncode == 2
    assert "add --new-ledger" in first.stderr
    assert not (folder.folder / "ledger.db").exists()
    unasked = plainly(folder, "send", "campaign.yaml")
    assert "with --dry-run, then add --yes; and --new-ledger if nobody has had" in unasked.stderr
    assert "it knows nobody" in plainly(folder, "send", "campaign.yaml", "--dry-run").stdout
    assert plainly(folder, "test", "campaign.yaml", "me@example.test").returncode == 0
    assert plainly(folder, *SEND).returncode == 2  # a test creates a ledger, which has no rows either
    assert plainly(folder, *SEND, "--new-ledger").returncode == 0
    assert plainly(folder, *SEND).returncode == 0
    assert plainly(folder, "send", "campaign.yaml").stderr.endswith("then add --yes\n")
    for file in folder.folder.glob("ledger.db*"):
        file.unlink()
    assert plainly(folder, *SEND).returncode == 2
    assert len(folder.server.wait_delivered(21)) == 21


@pytest.mark.parametrize("to", ["gone", "a copy", "an older one"])
def test_a_ledger_that_is_lost_during_a_run_ends_it(folder: CampaignFolder, to: str) -> None:
    ledger, copy = folder.folder / "ledger.db", folder.folder / "copy.db"
    folder.write(rate="1/second", envelope_from=sender(folder))
    if to == "an older one":
        folder.send("--limit", "2")
        shutil.copy(ledger, copy)
        folder.send("--limit", "2")
    before = len(folder.addresses(Status.ACCEPTED))
    process = folder.start(*SEND)
    folder.wait_for(Status.ACCEPTED, before + 1)
    if to == "a copy":
        shutil.copy(ledger, copy)
    if copy.exists():
        copy.replace(ledger)
    else:
        ledger.unlink()
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 5, stderr
    assert "another file is here than when the ledger was opened, or none" in stderr
    assert plainly(folder, *SEND).returncode == 2
    recovered_by_address(folder)
    assert set(mailed(folder, 20).values()) == {1}


def recovered_by_address(folder: CampaignFolder) -> None:
    """Begin with a new ledger, settle it from the server's log, and send to the others."""
    for file in folder.folder.glob("ledger.db*"):
        file.unlink()
    folder.write(envelope_from=sender(folder))
    write_log(folder)
    now = datetime.now()
    since, until = (f"{at:%Y-%m-%d %H:%M:%S}" for at in (now - timedelta(hours=1), now + timedelta(hours=1)))
    by_address = ("--from-log", "mail.log", "--by-address", "--since", since, "--until", until)
    asked = plainly(folder, "resolve", "campaign.yaml", *by_address)
    assert asked.returncode == 2
    assert "user1@example.test  2" in asked.stdout
    assert "There is no terminal to ask on: look at the matches, then add --yes" in asked.stderr
    assert not (folder.folder / "ledger.db").exists()
    settled = plainly(folder, "resolve", "campaign.yaml", *by_address, "--yes")
    assert settled.returncode == 0, settled.stderr
    assert "settled as accepted; the next send mails the others" in settled.stdout
    assert plainly(folder, *SEND).returncode == 0


def test_a_ledger_that_was_deleted_is_rebuilt_from_the_server_s_log(folder: CampaignFolder) -> None:
    folder.write(rate="10/second", envelope_from=sender(folder))
    assert folder.send("--limit", "5").returncode == 5
    recovered_by_address(folder)
    assert set(mailed(folder, 20).values()) == {1}


def test_log_lines_of_other_times_and_senders_settle_nothing(folder: CampaignFolder) -> None:
    assert folder.send("--limit", "2").returncode == 5
    (folder.folder / "ledger.db").unlink()
    write_log(folder)
    log = ("resolve", "campaign.yaml", "--from-log", "mail.log", "--by-address", "--yes")
    for change, times in ((None, ("2020-01-01", "2020-01-02")), ("x@y.test", ("2020-01-01", "2099-01-01"))):
        if change:
            folder.write(envelope_from=change)
        said = plainly(folder, *log, "--since", times[0], "--until", times[1])
        assert said.returncode == 2
        assert "mail.log names nobody on the list" in said.stderr
    assert not (folder.folder / "ledger.db").exists()


def test_a_copied_folder_is_asked_about(folder: CampaignFolder) -> None:
    assert folder.send("--limit", "3").returncode == 5
    copy = folder.folder.with_name("copy")
    shutil.copytree(folder.folder, copy)
    refused = plainly(folder, *SEND, cwd=copy)
    assert refused.returncode == 5, refused.stderr
    assert "this ledger is a copy" in refused.stderr
    assert "If that is meant, add --accept copy" in refused.stderr
    assert "needs --accept copy" in plainly(folder, "send", "campaign.yaml", "--dry-run", cwd=copy).stdout
    assert folder.send("--limit", "3").returncode == 5  # the original goes on
    accepted = plainly(folder, *SEND, "--accept", "copy", "--limit", "1", cwd=copy)
    assert accepted.returncode == 5, accepted.stderr
    assert "copy" not in plainly(folder, *SEND, "--limit", "1", cwd=copy).stderr  # asked once


def test_a_moved_folder_continues(folder: CampaignFolder) -> None:
    assert folder.send("--limit", "3").returncode == 5
    moved = folder.folder.with_name("moved")
    folder.folder.rename(moved)
    assert plainly(folder, *SEND, cwd=moved).returncode == 0
    assert set(mailed(folder, 20).values()) == {1}


def test_a_copy_of_a_complete_file_that_is_put_back_later_is_refused(folder: CampaignFolder) -> None:
    assert folder.send("--limit", "3").returncode == 5
    ledger = folder.folder / "ledger.db"
    kept = ledger.read_bytes()
    assert folder.send("--limit", "3").returncode == 5
    ledger.write_bytes(kept)
    later = time.time() + 3600
    os.utime(ledger, (later, later))  # as if an hour had passed
    refused = plainly(folder, *SEND)
    assert refused.returncode == 2
    assert "copied or restored since it was used last" in refused.stderr
    assert max(mailed(folder, 6).values()) == 1


@pytest.mark.parametrize("how", ["in its place", "as another file", "as the folder"])
def test_a_copy_made_during_a_send_and_restored_later_is_refused(folder: CampaignFolder, how: str) -> None:
    """With its WAL, it looks as if the run had been killed at that moment."""
    folder.write(rate="5/second")
    process = folder.start(*SEND)
    folder.wait_for(Status.ACCEPTED, 3)
    saved = folder.folder.with_name("saved")
    with folder.held(process):
        shutil.copytree(folder.folder, saved)
    copied = time.monotonic()
    assert process.wait(60) == 0
    until(lambda: time.monotonic() > copied + 11)  # a copy made now might as well be a crash now
    ledger = folder.folder / "ledger.db"
    if how == "as the folder":
        shutil.rmtree(folder.folder)
        saved.rename(folder.folder)
    else:
        if how == "as another file":
            ledger.unlink()
        for name in ("ledger.db", "ledger.db-wal"):
            shutil.copy2(saved / name, folder.folder / name)
    refused = plainly(folder, *SEND)
    assert refused.returncode == 2, refused.stderr
    assert "messages may be missing in this ledger: it was copied or restored" in refused.stderr
    write_log(folder)
    assert plainly(folder, "resolve", "campaign.yaml", "--from-log", "mail.log").returncode == 0
    assert plainly(folder, *SEND).returncode == 0
    assert set(mailed(folder, 20).values()) == {1}


def test_a_ledger_with_two_names_is_refused(folder: CampaignFolder) -> None:
    folder.send("--limit", "1")
    os.link(folder.folder / "ledger.db", folder.folder / "second.db")
    for command in (SEND, ("status", "campaign.yaml")):
        refused = plainly(folder, *command)
        assert refused.returncode == 2
        assert "has a second name (a hard link)" in refused.stderr
    (folder.folder / "second.db").unlink()
    # The temporary name under which it was created, left by a process that was killed.
    os.link(folder.folder / "ledger.db", folder.folder / ".ledger.db.0123abcd")
    assert plainly(folder, *SEND).returncode == 0
    assert not (folder.folder / ".ledger.db.0123abcd").exists()


def test_a_ledger_file_that_is_a_mount_point_is_refused(folder: CampaignFolder) -> None:
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
        ["test", "campaign.yaml", "me@example.test"],
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
def test_after_kill_9_every_command_leaves_a_ledger_that_send_accepts(
    folder: CampaignFolder, command: list[str]
) -> None:
    killed(folder)
    done = plainly(folder, *command)
    assert done.returncode == 0, done.stderr
    sent = plainly(folder, *SEND)
    assert sent.returncode in (0, 4), sent.stderr
    if "--pending" not in command:  # with it, a person says that it did not arrive
        assert max(mailed(folder, 18).values()) == 1


def test_a_ledger_without_its_wal_is_refused_until_it_is_settled_from_a_log(
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
    write_log(folder)
    assert plainly(folder, "resolve", "campaign.yaml", "--from-log", "mail.log").returncode == 0
    assert plainly(folder, *SEND).returncode == 0
    assert set(mailed(folder, 20).values()) == {1}


def test_a_restored_backup_is_refused_as_outdated(folder: CampaignFolder) -> None:
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
    write_log(folder)
    settled = plainly(folder, "resolve", "campaign.yaml", "--from-log", "mail.log")
    assert "that waited had been sent before: settled as accepted" in settled.stdout
    assert folder.counts() == {"accepted": 20}
    assert plainly(folder, *SEND).returncode == 0
    assert set(mailed(folder, 20).values()) == {1}


def test_a_backup_after_which_nothing_was_sent_continues(folder: CampaignFolder) -> None:
    folder.send("--limit", "2")
    assert plainly(folder, "backup", "campaign.yaml", "copy.db").returncode == 0
    Path(folder.folder / "copy.db").replace(folder.folder / "ledger.db")
    assert plainly(folder, *SEND).returncode == 2
    assert plainly(folder, "resolve", "campaign.yaml", "--nothing-missing").returncode == 0
    assert plainly(folder, *SEND).returncode == 0
    assert set(mailed(folder, 20).values()) == {1}
