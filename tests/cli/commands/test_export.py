"""`campaign export`: rows as a CSV that is itself a list, and never over another's file."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from campaign.cli import main
from campaign.ledger import Ledger
from tests.cli.conftest import ANNA, BEN, CLEO, YAML, Run, table
from tests.ledger.book import enrol, row


def test_an_export_is_a_list(run: Run, ledger: Ledger) -> None:
    """With its line breaks, quotes and commas; corrected, it is sent again."""
    found = table(run("export", "campaign.yaml", "--status", "refused,in_doubt"))
    assert found == [
        {
            "email": BEN,
            "city": 'Bergen, "west"\n5003',
            "campaign_status": "refused",
            "campaign_reply": "550 5.1.1 no such user",
        },
        {"email": CLEO, "city": "Oslo", "campaign_status": "in_doubt", "campaign_reply": "250 2.0.0 Ok"},
    ]
    assert run("export", "campaign.yaml", "--status", "Refused, in-doubt", "-o", "again.csv") == ""
    assert table(Path("again.csv").read_text()) == found
    Path("again.yaml").write_text(YAML.replace("list.csv", "again.csv").replace("news", "again", 1))
    assert "2 to send" in run("send", "again.yaml", "--dry-run")
    ledger.close()


def test_an_export_of_everything_and_of_nothing(run: Run, ledger: Ledger) -> None:
    assert [found["email"] for found in table(run("export", "campaign.yaml"))] == [ANNA, BEN, CLEO]
    assert (
        run("export", "campaign.yaml", "--status", "deferred")
        == "email,city,campaign_status,campaign_reply\n"
    )
    assert "'refussed' is not one of pending" in run(
        "export", "campaign.yaml", "--status", "refussed", code=2
    )
    assert "cannot be written" in run("export", "campaign.yaml", "-o", "none/out.csv", code=2)
    ledger.close()


def test_an_export_before_anything_was_sent(run: Run) -> None:
    assert "there is no ledger yet: nothing was sent" in run("export", "campaign.yaml", code=2)


def test_an_exported_list_that_is_exported_again_has_its_columns_once(run: Run, ledger: Ledger) -> None:
    columns = ("email", "city", "campaign_status", "campaign_reply")
    rows = [row(1, ANNA)]
    rows = [type(r)(r.number, r.line, r.key, r.email, r.name, dict.fromkeys(columns, "x")) for r in rows]
    again = Ledger(ledger.storage, "again", None)
    enrol(again, rows, columns=columns)
    Path("campaign.yaml").write_text(YAML.replace("news", "again", 1))
    assert run("export", "campaign.yaml").splitlines() == [",".join(columns), "x,x,pending,"]
    ledger.close()


@pytest.mark.parametrize("force", [[], ["--force"]])
@pytest.mark.parametrize(
    "name",
    [
        "list.csv",
        "campaign.yaml",
        "ledger.db",
        "ledger.db-wal",
        "body.txt",
        "link",
        "hard",
        "x/../body.txt",
    ],
)
def test_it_never_overwrites_the_campaigns_own_files(
    run: Run, ledger: Ledger, name: str, force: list[str]
) -> None:
    Path("link").symlink_to("body.txt")
    Path("hard").hardlink_to("list.csv")
    Path("x").mkdir()
    before = Path(name).read_bytes() if Path(name).exists() else None
    said = run("export", "campaign.yaml", "-o", name, *force, code=2)
    assert f"{name} is one of the campaign's own files" in said
    assert (Path(name).read_bytes() if Path(name).exists() else None) == before


def test_another_file_is_overwritten_only_if_it_is_an_export_or_by_force(run: Run, ledger: Ledger) -> None:
    out = Path("out.csv")
    for there in ("mine\n", "email,campaign_status\n", "campaign_status,campaign_reply,email\n", "\n"):
        out.write_text(there)
        said = run("export", "campaign.yaml", "-o", "out.csv", code=2)
        assert "out.csv already exists, and is not an export of campaign's" in said
        assert out.read_text() == there
    run("export", "campaign.yaml", "-o", "out.csv", "--force")
    exported = out.read_text()
    assert [found["email"] for found in table(exported)] == [ANNA, BEN, CLEO]
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    # As a spreadsheet may have saved it, and with more columns than a screen holds.
    for there in (
        exported,
        "\ufeff" + exported,
        '"a ""b""\n",campaign_status,campaign_reply\r\nx,y,z\r\n',
        "",
    ):
        out.write_text(there, newline="")
        run("export", "campaign.yaml", "-o", "out.csv")
        assert out.read_text() == exported


def test_it_can_be_piped_by_name(run: Run, ledger: Ledger) -> None:
    exported = run("export", "campaign.yaml")
    command = [sys.executable, "-m", "campaign", "export", "campaign.yaml", "-o", "/dev/stdout"]
    piped = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (piped.stdout, piped.stderr) == (exported, "/dev/stdout: 3 rows\n")
    assert "No space left on device" in run("export", "campaign.yaml", "-o", "/dev/full", code=2)


def test_a_row_is_one_row(run: Run, ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "campaign.yaml", "--status", "refused", "-o", "out.csv"]) == 0
    assert capsys.readouterr().err == "out.csv: 1 row\n"


SLOW = """
import sys
from campaign.cli import main
from campaign.report import table
write = table.write
def slowly(out, columns, entries, copies, returned):
    def stopping():
        for entry in entries:
            yield entry
            out.flush()
            print("written", file=sys.stderr, flush=True)
            sys.stdin.read()
    return write(out, columns, stopping(), copies, returned)
table.write = slowly
main(sys.argv[1:])
"""


def test_kill_9_leaves_the_export_of_before(run: Run, ledger: Ledger) -> None:
    run("export", "campaign.yaml", "--status", "refused", "-o", "out.csv")
    before = Path("out.csv").read_bytes()
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, "export", "campaign.yaml", "-o", "out.csv"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"written\n"
        # Whoever writes the same file meanwhile leaves the first one's alone.
        run("export", "campaign.yaml", "--status", "refused", "-o", "out.csv")
        assert len(list(Path().glob(".campaign-*"))) == 1
        process.kill()
    assert Path("out.csv").read_bytes() == before
    # The next one removes what the dead one has left.
    assert len(list(Path().glob(".campaign-*"))) == 1
    run("export", "campaign.yaml", "--status", "refused", "-o", "out.csv")
    assert not list(Path().glob(".campaign-*"))
