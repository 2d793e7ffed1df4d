"""`campaign status`: where it stands, before, while and after it is sent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from campaign.ledger import Ledger
from campaign.model import Status
from tests.cli.conftest import CLEO, YAML, Run
from tests.ledger.book import NOW, enrol, people, send, start
from tests.ledger.namespace import ROOT


def test_status_before_anything_was_sent(run: Run) -> None:
    assert run("status", "campaign.yaml") == "news: nothing was sent yet\n"
    found = json.loads(run("status", "campaign.yaml", "--json"))
    assert list(found["counts"]) == list(Status)
    assert not any(found["counts"].values())
    assert found["sending"] is None
    assert run("status", "campaign.yaml", "--watch").endswith("news: nothing was sent yet\n")
    assert not Path("ledger.db").exists()


def test_status_of_a_campaign_that_the_ledger_does_not_know(run: Run, ledger: Ledger) -> None:
    Path("campaign.yaml").write_text(YAML.replace("news", "letters", 1))
    assert run("status", "campaign.yaml") == "letters: nothing was sent yet\n"
    ledger.close()


def test_status_says_where_it_stands(run: Run, ledger: Ledger) -> None:
    said = run("status", "campaign.yaml")
    assert "news: 1 of 3 accepted" in said
    assert "campaign resolve campaign.yaml" in said
    assert json.loads(run("status", "campaign.yaml", "--json"))["counts"]["in_doubt"] == 1
    ledger.close()


def test_the_table_of_domains_adds_up_after_somebody_was_forgotten(run: Run, folder: Path) -> None:
    book = Ledger.open(Path("ledger.db"), "news", Path("campaign.yaml").absolute())
    addresses = [f"p{n}@{'x' if n % 2 else 'y'}.test" for n in range(6)]
    enrol(book, people(*addresses))
    sending = start(book)
    for address, status in zip(addresses, [Status.ACCEPTED] * 3 + [Status.IN_DOUBT] * 3, strict=True):
        send(book, sending, address, status)
    sending.end(NOW)
    book.forget(addresses[0], NOW)
    book.forget(addresses[3], NOW)
    book.close()
    said = run("status", "campaign.yaml").splitlines()
    table = [line.split() for line in said if line.startswith(("  x.test", "  y.test", "  forgotten"))]
    assert [row[-5:] for row in table] == [
        ["1", "·", "1", "·", "·"],
        ["1", "·", "1", "·", "·"],
        ["1", "·", "1", "·", "·"],
    ]
    run("report", "campaign.yaml", "-o", "report.html")
    assert "forgotten, or no address" in Path("report.html").read_text("utf-8")


def test_who_left_the_list_before_it_was_sent_is_not_missing_in_the_sum(run: Run, folder: Path) -> None:
    book = Ledger.open(Path("ledger.db"), "news", Path("campaign.yaml").absolute())
    enrol(book, people("anna@x.test", "ben@x.test", "cleo@y.test"))
    sending = start(book)
    send(book, sending, "anna@x.test", Status.ACCEPTED)
    sending.end(NOW)
    assert enrol(book, people("anna@x.test", "ben@x.test")).withdrawn == 1
    book.close()
    assert run("status", "campaign.yaml").splitlines()[0] == "news: 1 of 2 accepted"
    assert "1 withdrawn   no longer on the list, and never accepted" in run("status", "campaign.yaml")
    run("report", "campaign.yaml", "-o", "report.html")
    page = Path("report.html").read_text("utf-8")
    assert "<strong>1</strong> of 2 were accepted" in page
    assert page.count("50.0 %") == 2  # accepted and pending; who is withdrawn has no share


def test_status_watches_until_nobody_is_sending(ledger: Ledger) -> None:
    sending = start(ledger, time.time_ns())
    watching = subprocess.Popen(
        [sys.executable, "-m", "campaign", "status", "campaign.yaml", "--watch"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert watching.stdout is not None
    first = watching.stdout.readline()
    assert "news: 1 of 3 accepted" in first
    assert ledger.settle_doubt(Status.ACCEPTED, [CLEO], "by hand", NOW) == 1
    sending.end(time.time_ns())
    rest = watching.communicate(timeout=30)[0]
    assert "news: 2 of 3 accepted" in rest
    assert watching.returncode == 0
    ledger.close()
