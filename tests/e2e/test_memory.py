"""Memory use does not grow with the list: 200,000 rows take hardly more than 2,000."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.e2e.folder import CampaignFolder
from tests.servers.postfix import Postfix

FEW, MANY = 2_000, 200_000
MOST = 1.3

# Runs the command and prints its exit code and its maximum memory use in KiB (getrusage(2)).
PEAK = """
import resource, subprocess, sys
code = subprocess.call([sys.executable, "-m", "campaign", *sys.argv[1:]], stdin=subprocess.DEVNULL)
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
COMMANDS = {
    "check": (["check", "campaign.yaml", "--quiet"], 0),
    "send": (["send", "campaign.yaml", "--yes", "--new-ledger", "--quiet", "--limit", "5"], 5),
    "status": (["status", "campaign.yaml"], 0),
    "export": (["export", "campaign.yaml", "-o", "out.csv"], 0),
}


def start(folder: CampaignFolder, command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PEAK, *COMMANDS[command][0]],
        cwd=folder.folder,
        env=folder.env,
        stdout=subprocess.PIPE,
        text=True,
    )


def peak(process: subprocess.Popen[str], command: str) -> int:
    stdout, _ = process.communicate(timeout=600)
    code, size = stdout.splitlines()[-1].split()
    assert int(code) == COMMANDS[command][1], stdout
    return int(size)


def test_memory_stays_flat(make_postfix: Callable[..., Postfix], tmp_path: Path) -> None:
    """Compares each command's memory use for many rows with that for few."""
    server = make_postfix()
    sizes: dict[tuple[str, int], int] = {}
    for rows in (FEW, MANY):
        (tmp_path / str(rows)).mkdir()
        folder = CampaignFolder(tmp_path / str(rows), server)
        folder.people(rows)
        (folder.folder / "body.txt.j2").write_text("Dear {{ name }}\n")
        together = {command: start(folder, command) for command in ("check", "send")}
        for command, process in together.items():
            sizes[command, rows] = peak(process, command)
        for command in ("status", "export"):
            sizes[command, rows] = peak(start(folder, command), command)
    ratios = {command: sizes[command, MANY] / sizes[command, FEW] for command in COMMANDS}
    assert max(ratios.values()) < MOST, ratios
