"""A disk that fills up while messages leave, against a real server: nobody twice, nobody in doubt."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.e2e.folder import CampaignFolder
from tests.ledger.namespace import run_on_disk
from tests.servers.postfix import Postfix

PEOPLE = 1500

PROGRAM = """
import json, subprocess, sys
from pathlib import Path
disk, folder = Path(sys.argv[1]), Path(sys.argv[2])

def run(*arguments):
    command = [sys.executable, "-m", "campaign", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)

def fill(leave):
    with (disk / "filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(65536))
        except OSError:
            filler.truncate(filler.tell() - leave)

def step(name, done):
    counts = json.loads(run("status", "campaign.yaml", "--json").stdout)["counts"]
    said[name] = [done.returncode, done.stderr, {k: v for k, v in counts.items() if v}]

said = {}
send = ("send", "campaign.yaml", "--yes", "--quiet", "--new-ledger")
step("begun", run(*send, "--limit", "1"))
fill(4_900_000)
step("filled on the way", run(*send))
step("full already", run(*send))
fill(0)
step("suppress", run("suppress", "add", "x@example.test", "--campaign", "campaign.yaml"))
(disk / "filler").unlink()
step("room again", run(*send))
said["files"] = sorted(file.name for file in disk.iterdir())
print(json.dumps(said))
"""


def test_a_disk_that_fills_up_pauses_the_campaign(tmp_path: Path, postfix: Postfix) -> None:
    disk = tmp_path / "disk"
    folder = CampaignFolder(tmp_path, postfix, ledger=str(disk / "ledger.db"), smtp={"connections": 3})
    people = folder.people(PEOPLE)

    said = run_on_disk(disk, "12m", PROGRAM, str(tmp_path))

    assert said["begun"][0] == 5
    code, words, counts = said["filled on the way"]
    assert code == 5, words
    assert "cannot be written" in words
    assert "Make room on the disk, then send again" in words
    assert "Traceback" not in words
    assert set(counts) == {"accepted", "pending"}
    assert 1 < counts["accepted"] < PEOPLE
    code, words, _ = said["full already"]
    assert code == 5
    assert "Make room on the disk, then send again" in words
    code, words, _ = said["suppress"]
    assert code == 2
    assert "Make room on the disk" in words
    assert said["room again"][0] == 0, said["room again"]
    assert said["room again"][2] == {"accepted": PEOPLE}
    assert said["files"][0] == "ledger.db"
    assert "ledger.db-reserve" not in said["files"]
    assert Counter(mail.recipient for mail in postfix.wait_delivered()) == dict.fromkeys(people, 1)
    folder.close()
