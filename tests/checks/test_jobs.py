"""Rules look where messages are made, in several processes: what they find is the same in any number."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaign.campaignfile.load import load
from campaign.checks.looking import SPAN
from campaign.checks.running import Checks
from campaign.errors import Problem
from campaign.ledger import Ledger
from campaign.message.tokens import Secrets
from campaign.preparation import prepare
from campaign.templating.processes import channel
from campaign.templating.processes.frames import Garbled
from tests.folder import write_campaign

HTML = """<style>.m{display:none} @media screen{.m{display:block} .a .m{color:red}}</style>
<div class="{{ where }}"><p class="m" style="color:blue">x</p></div>
<p>{{ first }} <a href="{{ link }}">shop.example</a> <img src="{{ link }}" alt="x"></p>
{{ '<br>'|safe * tall|int }}
"""
CELLS = {
    "first": ["Ann", "{{ name }}", "*|FNAME|*", "[where]", "A" * 40],
    "link": ["https://shop.example/", "http://localhost/1", "//x", "file:/x", "https://evil.test/", "x.png"],
    "where": ["a", "b", ""],
    "tall": ["0", "25000", "26000"],
    "domain": ["gmial.com", "x.test", "hotmail.con"],
    "local": ["info", "ann", "noreply"],
}
ROWS = st.lists(st.tuples(*(st.sampled_from(cells) for cells in CELLS.values())), min_size=1, max_size=60)

Check = Callable[..., list[Problem]]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Return what the rules find in a list, with so many jobs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("campaign.templating.processes.pool.ALONE", 0)

    def check(rows: list[tuple[str, ...]], jobs: int, most: int | None = None) -> list[Problem]:
        lines = [
            ",".join((f'"{local}+{number}@{domain}"', *(f'"{cell}"' for cell in cells)))
            for number, (*cells, domain, local) in enumerate(rows)
        ]
        people = "\n".join(["email," + ",".join([*CELLS][:4]), *lines]) + "\n"
        files = {"list.csv": people, "body.txt": "See\nhttps://x.test/?{{ link }}", "body.html": HTML}
        parts = {"text": "body.txt", "html": "body.html"}
        smtp = {"host": "smtp.wrenfield.org"}
        values = {"from": "{{ where or 'news' }}@example.com", "subject": "NEWS FOR {{ first }}"}
        campaign = load(write_campaign(Path(), files, templates=parts, smtp=smtp, **values))
        ledger = Ledger.temporary(campaign.name)
        checks = Checks(campaign, most=most)
        try:
            prepare(campaign, ledger.enrolment(), Secrets.placeholder(), examiner=checks, jobs=jobs)
        finally:
            ledger.close()
        return checks.report()

    return check


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS)
def test_any_number_of_jobs_finds_the_same(check: Check, rows: list[tuple[str, ...]]) -> None:
    Path("x.png").write_bytes(b"x")
    alone = check(rows, 1)
    assert alone
    assert check(rows, 3) == alone


def test_what_a_worker_found_is_told_again_by_the_one_after_it(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("x.png").write_bytes(b"x")
    rows = [
        tuple(cells[number * step % len(cells)] for step, cells in enumerate(CELLS.values(), 1))
        for number in range(300)
    ]
    alone = check(rows, 1)
    received = channel.Channel.receive
    killed: list[int] = []

    def receive(self: channel.Channel, count: int) -> object:
        if count == 100 and len(killed) < 2:
            killed.append(self._worker.pid)
            os.kill(self._worker.pid, signal.SIGKILL)
        return received(self, count)

    monkeypatch.setattr(channel.Channel, "receive", receive)
    assert check(rows, 2) == alone
    assert len(killed) == 2


def test_findings_of_a_long_list_are_told_in_full_again(check: Check) -> None:
    row = ("Ann", "http://localhost/1", "a", "0", "x.test", "ann")
    rows = [row, *[("Ann", "https://shop.example/", *row[2:])] * (SPAN + 50), row]
    found = [problem for problem in check(rows, 2) if "localhost" in problem.message]
    assert found
    assert all(problem.message.endswith(f"(rows 1, {len(rows)})") for problem in found)


def test_the_first_messages_alone_are_looked_at(check: Check) -> None:
    row = ("Ann", "https://shop.example/", "a", "0", "x.test", "ann")
    rows = [*[row] * 20, ("*|FNAME|*", *row[1:])]
    assert any(problem.rule == "mergetags" for problem in check(rows, 2))
    assert not any(problem.rule == "mergetags" for problem in check(rows, 2, 20))


@pytest.mark.parametrize("found", [3, "x", [["links", "key", 0]], [["no rule", "key", 0, ["m"]]], [7]])
def test_what_no_rule_can_have_found_is_garbled(tmp_path: Path, found: object) -> None:
    campaign = load(write_campaign(tmp_path, {"list.csv": "email\nann@x.test\n", "body.txt": "Hi"}))
    checks = Checks(campaign)
    ledger = Ledger.temporary(campaign.name)
    try:
        preparation = prepare(campaign, ledger.enrolment(), Secrets.placeholder(), examiner=checks)
        row = preparation.recipients.row(1)
        with pytest.raises(Garbled):
            checks.see(row, found)  # type: ignore[arg-type]
    finally:
        ledger.close()


HOSTILE = ("<!--", "<style>", "<script>", "<title>", "<a href=x>", "x", "[a", "<p style='a:b'", "&lt;", "%%a")


@pytest.mark.parametrize("kind", ["txt", "html"])
@pytest.mark.parametrize("bit", HOSTILE)
def test_a_look_takes_as_long_as_the_page_is(tmp_path: Path, kind: str, bit: str) -> None:
    """In time that grows with the square of its length, a worker would be ended by the kernel."""
    source = f"{{{{ {bit!r}|safe * {400_000 // len(bit)} }}}}"
    files = {
        "list.csv": "email\nann@x.test\n",
        "body.txt": "Hi",
        "body.html": "<p>Hi",
        f"body.{kind}": source,
    }
    parts = {"text": "body.txt", "html": "body.html"}
    campaign = load(write_campaign(tmp_path, files, templates=parts))
    ledger = Ledger.temporary(campaign.name)
    try:
        found = prepare(campaign, ledger.enrolment(), Secrets.placeholder(), examiner=Checks(campaign))
        assert found.survey.messages == 1
    finally:
        ledger.close()
