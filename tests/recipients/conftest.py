"""A writer of lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.recipients.list import Recipients
from tests.recipients.lists import Open, opened


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    monkeypatch.chdir(tmp_path)

    def listed(octets: bytes | str, **settings: object) -> Recipients:
        return opened(tmp_path, octets, **settings)

    return listed
