"""`campaign init`: a whole folder, or none, and nothing is written over."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from campaign.cli import main
from campaign.cli.commands.init import SAMPLES
from campaign.samples import CAMPAIGN


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(["init", *arguments]) == code
    said = capsys.readouterr()
    return said.err if code else said.out


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("where", ["new", "deep/er", "empty", "."])
def test_a_working_campaign(
    capsys: pytest.CaptureFixture[str], folder: Path, sample: str, where: str
) -> None:
    (folder / "empty").mkdir()
    if where == ".":
        (folder / "empty").rmdir()
    assert f"campaign check {Path(where) / CAMPAIGN}" in init(capsys, where, "--from", sample)
    made = folder / where
    assert json.loads((made / "campaign.schema.json").read_text("utf-8"))["type"] == "object"
    assert [path.name for path in made.iterdir() if path.name.startswith(".")] == []
    assert not list(folder.glob(".campaign-*"))
    assert main(["check", str(made / CAMPAIGN)]) == 0


@pytest.mark.parametrize("there", ["a file", "a folder with a file", "a link to nothing"])
def test_nothing_is_written_over(capsys: pytest.CaptureFixture[str], folder: Path, there: str) -> None:
    target = folder / "target"
    match there:
        case "a file":
            target.write_text("mine")
        case "a folder with a file":
            target.mkdir()
            (target / "notes.txt").write_text("mine")
        case _:
            target.symlink_to(folder / "elsewhere")
    before = sorted(folder.rglob("*"))
    if there == "a link to nothing":
        init(capsys, "target")
        assert target.is_symlink()
        assert (folder / "elsewhere" / CAMPAIGN).is_file()
    else:
        assert "already exists and is not empty; name a new folder" in init(capsys, "target", code=2)
        assert sorted(folder.rglob("*")) == before


def test_what_cannot_be_written_leaves_nothing(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "file").write_text("mine")
    assert "cannot be written" in init(capsys, "file/under", code=2)
    assert "cannot be written: File name too long" in init(capsys, "x" * 300, code=2)
    assert [path.name for path in folder.rglob("*")] == ["file"]


KILLED = """
import os, signal
from campaign import samples
from campaign.cli import main
fill = samples._fill
def dying(*arguments):
    fill(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
samples._fill = dying
main(["init", "target"])
"""


def test_kill_9_leaves_no_half_folder(folder: Path) -> None:
    assert subprocess.run([sys.executable, "-c", KILLED]).returncode == -9
    assert not (folder / "target").exists()
