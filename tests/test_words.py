"""What is said to people: durations, speeds, counts, and what replies mean."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from campaign.address import display_address
from campaign.model import SECOND, Window
from campaign.report.words import duration, explain, going_on, grouped, speed
from campaign.sending.pace.outlook import Outlook
from campaign.wording import counted


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0 s"),
        (45.4, "45 s"),
        (89, "89 s"),
        (3 * 3600 + 1200, "3 h 20 min"),
        (7200, "2 h"),
        (52 * 3600, "2 d 4 h"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("count", "seconds", "words"),
    [
        (1, 0.5, ""),
        (14_000, 10, "1,400.0 a second"),
        (60, 60, "1.0 a second"),
        (272, 7200, "2.3 a minute"),
        (5, 3600, "5.0 an hour"),
    ],
)
def test_speeds(count: int, seconds: float, words: str) -> None:
    assert speed(count, seconds) == words


def test_counts() -> None:
    assert [counted(count, "row") for count in (0, 1, 1000)] == ["0 rows", "1 row", "1,000 rows"]
    assert counted(2, "address", "addresses") == "2 addresses"


def test_addresses() -> None:
    assert display_address("ann@xn--uni-kln-e1a.de") == "ann@uni-köln.de"
    assert display_address("ann@example.com") == "ann@example.com"
    assert display_address("") == ""


def test_replies_that_differ_in_ids_and_addresses_are_one() -> None:
    first = grouped("550 5.1.1 <ann@x.test>: no such user, id 4bFq1z9Xk2z")
    assert first == grouped("550 5.1.1 <ben@y.test>: no such user, id 9cZq7z1Yk2z") != ""
    assert first.startswith("550 5.1.1 <…>: no such user")


@pytest.mark.parametrize("name", ["SMTPUTF8", "8BITMIME"])
def test_the_name_of_an_extension_is_no_id(name: str) -> None:
    reply = f"553 5.6.7 the address needs {name}, which the server does not offer"
    assert grouped(reply) == reply


@pytest.mark.parametrize(
    ("reply", "meaning"),
    [
        ("550 5.1.1 no such user", "no such mailbox"),
        ("450 4.7.1 try later", "a limit or greylisting of the receiver"),
        ("550 no", ""),
    ],
)
def test_meanings(reply: str, meaning: str) -> None:
    assert explain(reply) == meaning


HOUR = 3600 * SECOND


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (Outlook(0, 2 * HOUR), "end about 14:00"),
        (
            Outlook(HOUR, 2 * HOUR, Window(100, HOUR)),
            "hourly limit reached (100/hour): next message 13:00, end about 14:00",
        ),
        (
            Outlook(13 * HOUR, 14 * HOUR, Window(9, 24 * HOUR)),
            "daily limit reached (9/day): next message 2026-05-02 01:00, end about 2026-05-02 02:00",
        ),
        (Outlook(HOUR, HOUR), "put off by the server: next message 13:00, end about 13:00"),
    ],
)
def test_why_until_when_and_when_all_is_done(
    ahead: Outlook, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    noon = int(datetime(2026, 5, 1, 12, tzinfo=UTC).timestamp()) * SECOND
    assert going_on(Outlook(noon + ahead.next_at, noon + ahead.ends_at, ahead.limit), noon) == words
