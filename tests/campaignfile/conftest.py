"""A folder with what the campaign files of these tests name."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A campaign's folder with the files that MINIMAL and FULL name; the person stands in it."""
    folder = tmp_path / "spring"
    (folder / "files" / "assets").mkdir(parents=True)
    for name in ("list.csv", "body.txt.j2", "body.html.j2", "files/assets/terms.pdf"):
        (folder / name).write_text("x")
    for name in ("dkim.pem", "ca.pem", "client.pem", "client.key"):
        (folder / name).write_text("x")
    monkeypatch.chdir(folder)
    return folder
