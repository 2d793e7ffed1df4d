"""Every command with a ledger in PostgreSQL: the same promises, whatever is killed or restarted."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign.campaignfile.location import PostgresLocation
from tests.e2e.folder import CampaignFolder, Folders, kill, mails, until
from tests.need import need
from tests.servers.postfix import Postfix
from tests.servers.postgresql import PostgreSQL


@pytest.fixture
def place(postgresql: PostgreSQL) -> Iterator[PostgresLocation]:
    """A database without a ledger."""
    location = postgresql.empty()
    yield location
    postgresql.drop(location)


def said(folder: CampaignFolder, *arguments: str, code: int = 0) -> str:
    """Run a command that must end with this code; return its output."""
    run = folder.run(*arguments)
    assert run.returncode == code, run.stdout + run.stderr
    return run.stdout


def statuses(folder: CampaignFolder) -> dict[str, str]:
    """Return the status of each address, from `export`."""
    table = csv.DictReader(io.StringIO(said(folder, "export", "campaign.yaml")))
    return {row["email"]: row["campaign_status"] for row in table}


def test_every_command(
    postfix: Postfix, campaign_for: Folders, place: PostgresLocation, tmp_path: Path
) -> None:
    folder = campaign_for(postfix, ledger={"postgresql_env": "CAMPAIGN_LEDGER"}, rate="5000/minute")
    folder.env["CAMPAIGN_LEDGER"] = place.url
    everybody = folder.people(5)
    file = "campaign.yaml"

    said(folder, "check", file)
    assert "there is no ledger yet" in folder.run("preview", file).stderr
    assert "nothing was sent yet" in said(folder, "status", file)
    assert "a new ledger: it knows nobody" in said(folder, "send", file, "--dry-run")
    assert "nobody got it twice" in said(folder, "rehearse", file)
    assert "accepted" in said(folder, "test", file, "me@example.test")
    where = ("--ledger", place.url)
    said(folder, "suppress", "add", everybody[0], *where)
    assert everybody[0] in said(folder, "suppress", "list", *where)

    sent = folder.send("--log", "log.jsonl")
    assert sent.returncode == 0, sent.stderr
    found = statuses(folder)
    assert found[everybody[0]] == "suppressed"
    assert {found[address] for address in everybody[1:]} == {"accepted"}
    assert "resolve" not in said(folder, "resolve", file)
    said(folder, "report", file, "-o", "page.html")
    assert "forgotten" in said(folder, "forget", everybody[1], *where)
    assert everybody[1] not in statuses(folder)
    status = json.loads(said(folder, "status", file, "--json"))
    assert status["counts"]["accepted"] == 4
    said(folder, "suppress", "remove", everybody[0], *where)
    folder.send()
    assert mails(postfix) == Counter([*everybody, "me@example.test"])
    assert "pg_dump" in folder.run("backup", file, "copy.db").stderr


def test_an_unreachable_database_server_is_reported(
    postfix: Postfix, campaign_for: Folders, tmp_path: Path
) -> None:
    url = f"postgresql:///none?host={tmp_path}&user=news"
    folder = campaign_for(postfix, ledger=url)
    folder.people(1)
    for command in ("send", "status"):
        run = folder.run(command, "campaign.yaml", *(["--yes"] if command == "send" else []))
        assert run.returncode == 6
        assert "the ledger's server cannot be reached" in run.stderr
        assert "Traceback" not in run.stderr


def test_after_a_killed_run_nobody_is_mailed_twice(
    postfix: Postfix, campaign_for: Folders, place: PostgresLocation
) -> None:
    folder = campaign_for(postfix, rate="100/second", ledger=place.url)
    everybody = set(folder.people(150))
    for so_far in (30, 80):
        process = folder.start("send", "campaign.yaml", "--yes")
        until(lambda so_far=so_far: folder.counts().get("accepted", 0) >= so_far)  # type: ignore[misc]
        kill(process)
        counts = folder.counts()
        assert counts.get("in_doubt", 0) <= 2
        assert "in_flight" not in counts
    last = folder.send()
    found = statuses(folder)
    in_doubt = {address for address, status in found.items() if status == "in_doubt"}
    assert last.returncode == (4 if in_doubt else 0), last.stderr
    assert {address for address, status in found.items() if status == "accepted"} | in_doubt == everybody
    got = mails(postfix)
    assert all(count == 1 for count in got.values()), got.most_common(3)
    assert set(got) - in_doubt == everybody - in_doubt
    listed = said(folder, "resolve", "campaign.yaml")
    assert all(address in listed for address in in_doubt)


def test_a_run_survives_a_restart_of_the_database_server(postfix: Postfix, campaign_for: Folders) -> None:
    """As after a crash: results not yet on disk leave their rows in doubt, and nobody is mailed twice."""
    server = PostgreSQL(need("postgres").resolve().parent)
    try:
        folder = campaign_for(postfix, rate="100/second", ledger=server.empty().url)
        everybody = set(folder.people(200))
        process = folder.start("send", "campaign.yaml", "--yes")
        for so_far in (40, 100):
            until(lambda so_far=so_far: folder.counts().get("accepted", 0) >= so_far)  # type: ignore[misc]
            server.stop()
            server.start()
        _, errors = process.communicate(timeout=100)
        found = statuses(folder)
        in_doubt = {address for address, status in found.items() if status == "in_doubt"}
        assert process.returncode == (4 if in_doubt else 0), errors
        assert {a for a, status in found.items() if status == "accepted"} | in_doubt == everybody
        got = mails(postfix)
        assert all(count == 1 for count in got.values()), got.most_common(3)
        assert set(got) | in_doubt == everybody
    finally:
        server.remove()
