"""`-` is no file that a command writes: it would be made with this name."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.cli.program import main
from tests.folder import write_campaign


@pytest.mark.parametrize(
    "arguments",
    [
        ["send", "FILE", "--log", "-"],
        ["preview", "FILE", "--html", "-"],
        ["preview", "FILE", "--eml", "-"],
        ["preview", "FILE", "--page", "1", "-o", "-"],
        ["export", "FILE", "-o", "-"],
        ["report", "FILE", "-o", "-"],
        ["backup", "FILE", "-"],
        ["suppress", "export", "-o", "-"],
    ],
    ids=" ".join,
)
def test_a_dash_is_refused(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_campaign(tmp_path, {"list.csv": "email\nann@x.test\n", "body.txt": "Hi"})
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert main([str(file) if one == "FILE" else one for one in arguments]) == 2
    assert "'-' is not standard output here; write /dev/stdout" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before
