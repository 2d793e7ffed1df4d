"""`campaign report`: where the page is written, and over what it is not."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from campaign.ledger import Ledger
from tests.cli.conftest import CLEO, YAML, Run


def test_before_anything_was_sent(run: Run) -> None:
    assert "there is no ledger yet" in run("report", "campaign.yaml", code=2)


def test_where_it_is_written(run: Run, ledger: Ledger, folder: Path) -> None:
    for _ in range(2):
        assert run("report", "campaign.yaml") == "written to news-report.html\n"
    page = (folder / "news-report.html").read_text()
    assert run("report", "campaign.yaml", "-o", "page.html") == "written to page.html\n"
    assert Path("page.html").read_text()[:200] == page[:200]
    Path("campaign.yaml").write_text(YAML.replace("news", "other", 1))
    assert "has no campaign 'other'" in run("report", "campaign.yaml", code=2)


def test_another_file_is_overwritten_only_by_force(run: Run, ledger: Ledger) -> None:
    page = Path("page.html")
    page.write_text("<h1>mine</h1>")
    assert "page.html already exists" in run("report", "campaign.yaml", "-o", "page.html", code=2)
    assert page.read_text() == "<h1>mine</h1>"
    page.chmod(0o640)
    run("report", "campaign.yaml", "-o", "page.html", "--force")
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert stat.S_IMODE(page.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["campaign.yaml", "list.csv", "body.txt", "ledger.db"])
def test_the_campaigns_own_files_never(run: Run, ledger: Ledger, name: str) -> None:
    before = Path(name).read_bytes()
    assert "own files" in run("report", "campaign.yaml", "-o", name, "--force", code=2)
    assert Path(name).read_bytes() == before


def test_stdout_gets_the_page_alone(run: Run, ledger: Ledger) -> None:
    command = [sys.executable, "-m", "campaign", "report", "campaign.yaml", "-o", "/dev/stdout"]
    piped = subprocess.run(command, capture_output=True, text=True, check=True)
    assert piped.stdout.lstrip().startswith("<!DOCTYPE html>")
    assert piped.stdout.rstrip().endswith("</html>")
    assert piped.stderr == "written to /dev/stdout\n"


@contextmanager
def changing() -> Iterator[None]:
    """Let another connection settle Cleo's row and take it back, over and over."""
    over = threading.Event()

    def change() -> None:
        with closing(sqlite3.connect("ledger.db", isolation_level=None)) as other:
            while not over.is_set():
                for status in ("accepted", "in_doubt"):
                    other.execute("UPDATE messages SET status = ? WHERE email = ?", (status, CLEO))

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_report_is_of_one_moment(run: Run, ledger: Ledger) -> None:
    """Its tables are counted one after another; a row that is settled meanwhile is in one place in all."""
    with changing():
        for _ in range(8):
            run("report", "campaign.yaml", "-o", "page.html")
