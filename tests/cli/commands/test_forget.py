"""`campaign forget`: a person's data leaves the ledger, and the other commands go on working."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from campaign.ledger import Ledger
from tests.cli.conftest import ANNA, BEN, CLEO, Run, table
from tests.ledger.book import NOW, enrol, files, message_id, row, start
from tests.ledger.namespace import ROOT


def test_forget_leaves_the_other_commands_working(run: Run, ledger: Ledger) -> None:
    for address in ("Anna@example.com", CLEO):
        assert "1 row of the ledger forgotten" in run("forget", address)
    assert "nobody@example.com is not in the ledger" in run("forget", "nobody@example.com")
    assert "was forgotten already" in run("forget", CLEO)
    ledger.close()
    assert b"anna" not in files(Path("ledger.db")).lower()
    assert "1 of 3 accepted" in run("status", "campaign.yaml")
    assert [found["email"] for found in table(run("export", "campaign.yaml"))] == [BEN]
    assert "(forgotten)" in run("resolve", "campaign.yaml")
    log = f"x postfix/cleanup[1]: 4ABC: message-id={message_id(CLEO)}\n"
    log += "x postfix/smtp[1]: 4ABC: to=<x>, status=sent (250 ok)\n"
    Path("mail.log").write_text(log)
    run("resolve", "campaign.yaml", "--from-log", "mail.log")
    assert run("report", "campaign.yaml", "-o", "page.html") is not None
    said = run("suppress", "list")
    assert said.count("forgotten") == 2
    assert "anna" not in said
    assert "1 removed" in run("suppress", "remove", ANNA)


def test_forget_during_a_send_leaves_the_file_to_it(ledger: Ledger) -> None:
    sending = start(ledger, time.time_ns())
    forgetting = subprocess.Popen(
        [sys.executable, "-m", "campaign", "forget", ANNA],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    said, wrong = forgetting.communicate(timeout=30)
    assert forgetting.returncode == 0, wrong
    assert "1 row of the ledger forgotten" in said
    assert f"process {os.getpid()} on " in said
    assert "is sending from this ledger. It removes them when its run has ended." in said
    sending.end(NOW)
    ledger.close()
    assert b"anna" not in files(Path("ledger.db")).lower()


def test_an_unset_variable_changes_nothing(run: Run, ledger: Ledger) -> None:
    run("forget", ANNA)
    for text in ("", " ", "anna"):
        assert "nor is it a cell of a bad row. Nothing was changed" in run("forget", text, code=2)
    assert "1 of 3 accepted" in run("status", "campaign.yaml")
    ledger.close()


def test_a_cc_column_that_names_them_is_said(run: Run, ledger: Ledger) -> None:
    enrol(ledger, [row(4, "dora@example.com", city=f"Eve <{ANNA}>"), row(5, "eve@example.com", city=ANNA)])
    said = run("forget", ANNA)
    assert "1 row of the ledger forgotten" in said
    assert "2 rows of other people name it in a cell, perhaps as cc; they stay. It gets no copies." in said
    ledger.close()
