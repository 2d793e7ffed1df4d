"""A folder with a small campaign and its ledger, and a way to run commands in it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from campaign.cli import main
from campaign.ledger import Ledger
from campaign.model import Status
from tests.ledger.book import NOW, enrol, intent, result, row, send, start

YAML = """
name: news
recipients: list.csv
from: news@example.com
subject: Hello
templates: {text: body.txt}
smtp: {host: localhost, port: 9}
"""
ANNA, BEN, CLEO = "anna@example.com", "ben@example.com", "cleo@example.com"
Run = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with campaign.yaml, list.csv and body.txt."""
    monkeypatch.chdir(tmp_path)
    Path("campaign.yaml").write_text(YAML)
    Path("list.csv").write_text(f"email,city\n{ANNA},Oslo\n{BEN},Bergen\n")
    Path("body.txt").write_text("Hello\n")
    return tmp_path


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in the folder, and return what it says: on stderr, where it fails, unless `out`."""

    def run(*arguments: str, code: int = 0, out: bool = False) -> str:
        capsys.readouterr()
        found = main([*arguments])
        said = capsys.readouterr()
        assert found == code, said.err
        return said.err if code and not out else said.out

    return run


@pytest.fixture
def ledger(folder: Path) -> Iterator[Ledger]:
    """Anna was accepted, Ben refused; Cleo is in doubt."""
    book = Ledger.open(Path("ledger.db"), "news", Path("campaign.yaml").absolute())
    rows = [row(1, ANNA), row(2, BEN, city='Bergen, "west"\n5003'), row(3, CLEO)]
    enrol(book, rows)
    sending = start(book)
    send(book, sending, ANNA)
    sending.record((), (intent(BEN),))
    sending.record((result(BEN, Status.REFUSED, reply="550 5.1.1 no\r\n such user"),), ())
    send(book, sending, CLEO, Status.IN_DOUBT)
    sending.end(NOW)
    yield book
    book.close()


def table(text: str) -> list[dict[str, str]]:
    """Read a CSV."""
    return list(csv.DictReader(io.StringIO(text), strict=True))
