"""A worker's private folder is removed, also if the worker was killed, but never that of a live one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from campaign.sending.workers.folder import private_folder, remove_dead

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there they stay")

_HOLDS = """
import sys, tempfile
from campaign.sending.workers.folder import private_folder
tempfile.tempdir = sys.argv[1]
with private_folder() as folder:
    (folder / "letter.txt").write_text("Dear Ann,")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def owner(place: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has a private folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDS, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        yield process
        process.kill()


def test_the_folder_of_a_worker_that_was_killed_is_removed(place: Path, owner: subprocess.Popen[str]) -> None:
    assert owner.stdout is not None
    theirs = Path(owner.stdout.readline().strip())
    with private_folder() as ours:
        remove_dead()
        assert (theirs / "letter.txt").exists()
        owner.kill()
        owner.wait()
        remove_dead()
        assert list(place.iterdir()) == [ours]
    assert list(place.iterdir()) == []


def test_other_folders_are_left_alone(place: Path) -> None:
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    (place / "campaign-worker-link").symlink_to(elsewhere)
    (place / "campaign-worker-file").touch()
    (place / "campaign-preview-x").mkdir()
    before = set(place.rglob("*"))
    remove_dead()
    assert set(place.rglob("*")) == before


def test_a_folder_of_another_user_is_left_alone(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "campaign-worker-x").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: -1)
    remove_dead()
    assert (place / "campaign-worker-x").exists()


def test_workers_that_start_at_the_same_time_keep_their_folders(place: Path) -> None:
    def begin_and_clear(number: int) -> bool:
        remove_dead()
        with private_folder() as ours:
            (ours / "letter.txt").write_text(str(number))
            remove_dead()
            return (ours / "letter.txt").read_text() == str(number)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(begin_and_clear, range(400)))
    assert list(place.iterdir()) == []
