"""A disk that fills up during a send to a real server: nobody is mailed twice, nobody is in doubt."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.e2e.folder import CampaignFolder
from tests.folder import write_campaign
from tests.ledger.book import enrol, people, registered
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


ALREADY = """
import json, subprocess, sys
from pathlib import Path
disk, folder = Path(sys.argv[1]), Path(sys.argv[2])
(disk / "ledger.db").write_bytes((folder / "whole.db").read_bytes())
with (disk / "filler").open("wb", buffering=0) as filler:
    try:
        while filler.write(bytes(4096)):
            pass
    except OSError:
        pass
said = {}
for arguments in (
    ["status", "campaign.yaml"],
    ["export", "campaign.yaml", "--status", "pending"],
    ["report", "campaign.yaml", "-o", "page.html"],
    ["suppress", "add", "x@example.test", "--campaign", "campaign.yaml"],
    ["forget", "user1@example.test", "--campaign", "campaign.yaml"],
    ["send", "campaign.yaml", "--yes"],
    ["send", "new.yaml", "--yes", "--new-ledger"],
):
    command = [sys.executable, "-m", "campaign", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    name = "new" if "new.yaml" in arguments else arguments[0]
    said[name] = [done.returncode, done.stdout + done.stderr]
print(json.dumps(said))
"""


def test_a_disk_that_is_already_full_is_not_reported_as_damage(tmp_path: Path) -> None:
    """SQLite has no room for a WAL. Called damage, it would lead to a restored backup and duplicate mail."""
    disk = tmp_path / "disk"
    (tmp_path / "list.csv").write_text("email\nuser1@example.test\n")
    write_campaign(tmp_path, name="news", ledger=str(disk / "ledger.db"), file="campaign.yaml")
    write_campaign(tmp_path, name="new", ledger=str(disk / "new.db"), file="new.yaml")
    book = registered(tmp_path / "whole.db")
    enrol(book, people("user1@example.test"))
    book.close()

    said = run_on_disk(disk, "2m", ALREADY, str(tmp_path))

    assert not any("damaged" in words or "Traceback" in words for _, words in said.values()), said
    assert {name: code for name, (code, _) in said.items() if code == 0} == {
        "status": 0, "export": 0, "report": 0,
    }, said  # fmt: skip
    assert (said["send"][0], said["new"][0]) == (5, 5)
    assert all("Make room on the disk" in said[name][1] for name in ("suppress", "forget", "send", "new")), (
        said
    )
