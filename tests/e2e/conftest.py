"""Campaign folders in the test's own temporary folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.folder import CampaignFolder
from tests.servers.postfix import Postfix


@pytest.fixture
def campaign_for(tmp_path: Path) -> Iterator[Callable[..., CampaignFolder]]:
    """Make a campaign folder for a server, with changes to its campaign.yaml."""
    made: list[CampaignFolder] = []

    def make(server: Postfix, **changes: Any) -> CampaignFolder:
        folder = tmp_path / f"campaign{len(made) or ''}"
        folder.mkdir()
        made.append(CampaignFolder(folder, server, **changes))
        return made[-1]

    yield make
    for folder in made:
        folder.close()
