"""Fixtures that run a test with both kinds of ledger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign.campaignfile.location import Location
from tests.servers.postgresql import PostgreSQL

KINDS = ("sqlite", "postgres")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses `location` with each kind of ledger, or with those that it is marked with."""
    if "kind" in metafunc.fixturenames:
        marked = metafunc.definition.get_closest_marker("kinds")
        metafunc.parametrize("kind", marked.args if marked else KINDS)


@pytest.fixture
def location(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Location]:
    """The location of an empty ledger, existing or not. Its server counts as started long ago."""
    if kind == "sqlite":
        yield tmp_path / "ledger.db"
        return
    monkeypatch.setattr("campaign.ledger.postgres.runs.UP_SINCE", "0")
    server: PostgreSQL = request.getfixturevalue("postgresql")
    place = server.ledger()
    yield place
    server.drop(place)
