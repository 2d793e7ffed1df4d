"""Where a ledger is: a file or a database, and no password in either."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from campaign.campaignfile.location import (
    PostgresLocation,
    files_of,
    read_location,
    same_ledger,
    shown_location,
)
from campaign.errors import UserError

URL = "postgresql://news@db.example.com:5433/mail?sslmode=verify-full"
HERE = Path("/srv/news")


def test_a_file() -> None:
    location = read_location("../ledgers/news.db", HERE)
    assert location == Path("/srv/news/../ledgers/news.db")
    assert files_of(location) == (location,)
    assert same_ledger(location, Path("/srv/ledgers/news.db"))
    assert not same_ledger(location, PostgresLocation(URL))


def test_a_database() -> None:
    location = read_location(URL, HERE)
    assert location == PostgresLocation(URL)
    assert files_of(location) == ()
    assert shown_location(location) == URL
    assert same_ledger(location, PostgresLocation(URL))


@pytest.mark.parametrize("scheme", ["mysql", "sqlite", "postgresql+psycopg", "file"])
def test_an_address_of_another_kind_is_no_path_of_a_file(scheme: str) -> None:
    with pytest.raises(ValueError, match=rf"begins with postgresql://, and not with {re.escape(scheme)}://$"):
        read_location(f"{scheme}://news:secret@db.example.com/mail", HERE)


def test_a_variable_holds_the_address_and_nobody_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    location = read_location({"postgresql_env": "CAMPAIGN_LEDGER"}, HERE)
    assert isinstance(location, PostgresLocation)
    monkeypatch.delenv("CAMPAIGN_LEDGER", raising=False)
    with pytest.raises(UserError, match="the environment variable CAMPAIGN_LEDGER is not set"):
        _ = location.address
    monkeypatch.setenv("CAMPAIGN_LEDGER", "postgresql://news:secret@db.example.com/mail")
    assert location.address == "postgresql://news:secret@db.example.com/mail"
    assert "secret" not in f"{location!r} {location}"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://news:secret@db.example.com/mail",
        "postgres://:secret@/mail",
        "postgresql://news@db.example.com/mail?password=secret",
        "postgresql://db.example.com/mail?sslmode=require&sslpassword=secret",
    ],
)
def test_a_password_is_refused_and_not_quoted(url: str) -> None:
    with pytest.raises(ValueError, match="a password does not belong here") as refused:
        read_location(url, HERE)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "value", [{}, {"postgresql_env": ""}, {"postgresql": "x"}, {"postgresql_env": "A", "x": 1}]
)
def test_keys_that_say_nothing(value: object) -> None:
    with pytest.raises(ValueError, match="expected a path, postgresql://host/database, or"):
        read_location(value, HERE)
