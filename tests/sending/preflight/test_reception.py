"""How earlier mail was received, which is checked before the next send."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from campaign.cli import main
from campaign.ledger import Ledger
from campaign.ledger.protocols import Intent
from campaign.ledger.returns import Kind, Rules, Said, Shares
from campaign.sending.network import connection
from campaign.sending.preflight.reception import Reception, judged
from tests.folder import write_campaign
from tests.ledger.book import NOW, enrol, people, result, start


@pytest.mark.parametrize(
    ("accepted", "complained", "bounced", "asks"),
    [
        (99, 99, 99, []),  # too few to judge
        (100, 2, 2, []),
        (100, 3, 0, [True]),
        (100, 0, 3, [False]),
        (3000, 3, 60, []),  # 0.1 % and 2 %: still fine
        (3000, 4, 61, [False, False]),
        (3000, 9, 150, [False, False]),  # 0.3 % and 5 %
        (3000, 10, 151, [True, True]),
        (100_000, 301, 0, [True]),
    ],
)
def test_shares_cause_warnings_and_questions(
    accepted: int, complained: int, bounced: int, asks: list[bool]
) -> None:
    found = judged([Shares("spring", accepted, complained, bounced)])
    assert [one.asks for one in found] == asks


def test_the_messages_contain_the_numbers() -> None:
    [one] = judged([Shares("spring", 1000, 0, 60)])
    words = "of 1,000 who had 'spring', 60 addresses are dead (6.0%): campaign guide bounces"
    assert one == Reception(words, asks=True)


def token(address: str) -> str:
    return hashlib.sha256(address.encode()).hexdigest()[:20]


def mailed(folder: Path, name: str, bounced: int = 0, complained: int = 0) -> None:
    """Record a campaign to 200 people, of whom this many are dead, and this many have complained."""
    book = Ledger.open(folder / "ledger.db", name)
    addresses = [f"user{n}@{name}.example" for n in range(200)]
    enrol(book, people(*addresses))
    sending = start(book)
    for address in addresses:
        sending.claim(NOW, 1)
        sending.record((), (Intent(address, NOW, (address,), f"<{address}>", token(address)),))
        sending.record((result(address),), ())
    sending.end(NOW)
    returns = book.returns()
    kinds = [Kind.BOUNCED] * bounced + [Kind.COMPLAINED] * complained
    for address, kind in zip(addresses, kinds, strict=False):
        row = returns.of_token(token(address))
        assert row is not None
        returns.record(row, [Said(kind, (address,), "5.1.1")], address, NOW, Rules())
    book.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(connection, "OPENINGS", 1)
    write_campaign(
        tmp_path,
        {"list.csv": "email\nann@example.com\n"},
        smtp={"host": "localhost", "port": 9, "security": "none"},
    )
    return tmp_path


Said_ = Callable[..., tuple[int, str]]


@pytest.fixture
def said(folder: Path, capsys: pytest.CaptureFixture[str]) -> Said_:
    def said(*arguments: str) -> tuple[int, str]:
        code = main(["send", "spring.yaml", *arguments])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return said


def test_too_many_dead_addresses_in_the_last_campaign_are_asked_about(folder: Path, said: Said_) -> None:
    mailed(folder, "winter", bounced=11)
    code, words = said("--yes", "--new-ledger")
    assert code == 5
    assert "of 200 who had 'winter', 11 addresses are dead (5.5%)" in words
    assert "add --accept bounces" in words
    code, words = said("--dry-run")
    assert code == 0
    assert "needs --accept bounces" in words
    code, words = said("--yes", "--new-ledger", "--accept", "bounces")
    assert code == 6  # it goes on, and nobody listens


def test_some_dead_addresses_cause_a_warning(folder: Path, said: Said_) -> None:
    mailed(folder, "winter", bounced=5)
    code, words = said("--yes", "--new-ledger")
    assert code == 6
    assert "warning: of 200 who had 'winter', 5 addresses are dead (2.5%)" in words


def test_complaints_are_asked_about_until_a_campaign_is_received_better(folder: Path, said: Said_) -> None:
    mailed(folder, "winter", complained=3)
    code, words = said("--yes", "--new-ledger")
    assert code == 5
    assert "3 complained (1.5%)" in words
    mailed(folder, "easter")
    assert said("--yes", "--new-ledger")[0] == 6
