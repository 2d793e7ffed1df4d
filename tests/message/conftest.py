"""A maker of renderers."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.message.render import Renderer
from campaign.message.tokens import Secrets
from tests.message.rendering import CELLS, SECRETS, Made, campaign


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    monkeypatch.chdir(tmp_path)

    def made(
        columns: tuple[str, ...] = tuple(CELLS), secrets: Secrets = SECRETS, **values: object
    ) -> Renderer:
        return Renderer(campaign(tmp_path, **values), columns, secrets)

    return made
