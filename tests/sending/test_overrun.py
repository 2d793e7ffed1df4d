"""A template that exceeds its limits during a send: the row is unchanged, and the run stops."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from campaign.campaignfile.load import load
from campaign.cli.codes import UNFINISHED
from campaign.cli.ending import exit_code
from campaign.message.draftstore import DraftStore
from campaign.model import Status
from campaign.rehearsal import Faults, RehearsalServer, rehearsal_logins, rehearsed
from campaign.sending.dispatch import Ending
from campaign.sending.job import run
from campaign.sending.plan import Mode, Options, Plan
from campaign.templating.processes import limits, starting
from tests.folder import write_campaign
from tests.sending.test_job import Person

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the kernel's limits are set where it forks")


@pytest.fixture(autouse=True)
def an_hour_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user takes time to agree, so that all drafts are made again."""
    monkeypatch.setattr(DraftStore, "has", lambda kept, number, after: False)


@dataclass
class Replaced(Person):
    """An audience; when it agrees, an included file changes, and all workers are killed."""

    file: Path = Path()
    content: str = ""

    def planned(self, plan: Plan) -> None:
        super().planned(plan)
        self.file.write_text(self.content)
        starting.stop()


def folder(tmp_path: Path) -> Path:
    # The file name is computed, so the included file is not part of the compared content.
    body = "{% include (city|lower ~ '.txt') %}\n"
    rows = "".join(f"{name}@example.test,{city}\n" for name, city in (("ann", "Oslo"), ("ben", "Rome")))
    files = {"body.txt": body, "list.csv": f"email,city\n{rows}", "oslo.txt": "Hi\n", "rome.txt": "Ciao\n"}
    return write_campaign(tmp_path, files)


def send(file: Path, person: Person) -> tuple[Ending, str, int, dict[Status, int]]:
    with RehearsalServer(Faults()) as server:
        campaign = rehearsed(load(file), server, paced=False)
        options = Options(mode=Mode.REHEARSAL, logins=rehearsal_logins(server))
        finished = run(campaign, options, person)
    assert finished.summary is not None
    return finished.stop.ending, finished.stop.why, exit_code(finished), dict(finished.summary.counts)


def test_a_template_that_exceeds_a_limit_stops_the_run_and_its_row_is_not_charged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(limits, "SECONDS", 1)
    hang = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    person = Replaced(file=tmp_path / "rome.txt", content=hang)
    ending, why, code, counts = send(folder(tmp_path), person)
    assert (ending, code) == (Ending.PAUSED, UNFINISHED)
    assert why.startswith("body.txt: ")
    assert "too much work" in why
    assert "(row 2, line 3 of the list)" in why
    assert counts[Status.ACCEPTED] + counts[Status.PENDING] == 2
    assert counts[Status.PENDING] >= 1


def test_workers_that_are_killed_are_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    person = Replaced(file=tmp_path / "rome.txt", content="Ciao\n")
    ending, _, _, counts = send(folder(tmp_path), person)
    assert ending is Ending.DONE
    assert counts[Status.ACCEPTED] == 2


def test_templates_that_changed_meanwhile_are_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    person = Replaced(file=tmp_path / "body.txt", content="Something else\n")
    ending, why, code, counts = send(folder(tmp_path), person)
    assert (ending, code) == (Ending.PAUSED, UNFINISHED)
    assert "the templates have changed since they were read" in why
    assert counts[Status.PENDING] == 2
