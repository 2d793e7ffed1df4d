"""Logins by access tokens that expire while a run sends, at a real Postfix that asks for XOAUTH2."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from campaign.campaignfile.secret import COMMAND_TIMEOUT
from campaign.model import Status
from tests.e2e.folder import CampaignFolder, Folders, mails, until
from tests.servers.postfix import Postfix

Make = Callable[..., Postfix]
ROWS = 60
# Prints the file `token`, and records each call.
COMMAND = ["sh", "-c", "echo asked >> asked; exec cat token"]


@pytest.fixture
def server(make_postfix: Make) -> Postfix:
    return make_postfix(auth=True, users={"news": "first"})


def folder_for(campaign_for: Folders, server: Postfix, **smtp: Any) -> CampaignFolder:
    login = {"username": "news", "auth": "xoauth2", "token_command": COMMAND}
    folder = campaign_for(server, smtp={**login, "messages_per_session": 5, "rate": "40/second", **smtp})
    (folder.folder / "token").write_text("first\n")
    folder.hasty = True
    return folder


def asked(folder: Path) -> int:
    return len((folder / "asked").read_text().splitlines())


@pytest.mark.parametrize("connections", [1, 4])
def test_a_token_that_expires_is_replaced(server: Postfix, campaign_for: Folders, connections: int) -> None:
    folder = folder_for(campaign_for, server, connections=connections)
    everybody = folder.people(ROWS)
    process = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_for(Status.ACCEPTED, 10)
    assert asked(folder.folder) == 1
    (folder.folder / "token").write_text("second\n")
    server.users["news"] = "second"
    _, told = process.communicate(timeout=60)
    assert process.returncode == 0, told
    assert asked(folder.folder) == 2
    assert mails(server) == dict.fromkeys(everybody, 1)


def test_a_token_that_is_refused_and_stays_the_same_ends_the_run(
    server: Postfix, campaign_for: Folders
) -> None:
    folder = folder_for(campaign_for, server)
    folder.people(ROWS)
    process = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_for(Status.ACCEPTED, 10)
    server.users["news"] = "another"
    _, told = process.communicate(timeout=60)
    assert process.returncode == 6
    assert "smtp.token_command: localhost" in told
    assert asked(folder.folder) == 2


def test_a_command_that_makes_a_new_token_each_time_does_not_try_for_ever(
    server: Postfix, campaign_for: Folders
) -> None:
    folder = folder_for(campaign_for, server, token_command=["sh", "-c", "echo asked >> asked; echo $$"])
    folder.people(3)
    sent = folder.send()
    assert sent.returncode == 6
    assert asked(folder.folder) == 2


@pytest.mark.parametrize("connections", [1, 4])
def test_a_command_that_fails_for_a_while_is_run_again(
    server: Postfix, campaign_for: Folders, connections: int
) -> None:
    folder = folder_for(campaign_for, server, connections=connections)
    folder.hasty = False
    everybody = folder.people(ROWS)
    process = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_for(Status.ACCEPTED, 10)
    (folder.folder / "token").unlink()
    server.users["news"] = "second"
    until(lambda: asked(folder.folder) > 1)
    (folder.folder / "token").write_text("second\n")
    _, told = process.communicate(timeout=60)
    assert process.returncode == 0, told
    assert mails(server) == dict.fromkeys(everybody, 1)


def test_a_command_that_goes_on_failing_ends_the_run(server: Postfix, campaign_for: Folders) -> None:
    folder = folder_for(campaign_for, server)
    folder.people(ROWS)
    process = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_for(Status.ACCEPTED, 10)
    (folder.folder / "token").unlink()
    server.users["news"] = "second"
    _, told = process.communicate(timeout=60)
    assert process.returncode == 6
    assert "sh ended with exit code 1" in told
    accepted = folder.counts()["accepted"]
    assert folder.counts() == {"accepted": accepted, "pending": ROWS - accepted}
    assert len(mails(server)) == accepted


@pytest.mark.parametrize("times", [1, 2])
def test_a_run_that_is_interrupted_does_not_wait_for_the_command(
    server: Postfix, campaign_for: Folders, times: int
) -> None:
    script = "echo asked >> asked; if [ -e later ]; then exec sleep 1000; fi; cat token"
    folder = folder_for(campaign_for, server, connections=4, token_command=["sh", "-c", script])
    folder.people(ROWS)
    process = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_for(Status.ACCEPTED, 10)
    (folder.folder / "later").touch()
    server.users["news"] = "second"
    until(lambda: asked(folder.folder) > 1)
    for _ in range(times):
        process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=COMMAND_TIMEOUT - 10)  # the command itself is given longer
    assert process.returncode == 130, told
    assert "follows" not in told
    assert asked(folder.folder) == 2
    assert set(folder.counts()) == {"accepted", "pending"}
