"""`campaign suppress`: the list of those who get nothing, from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.cli import main
from campaign.ledger import Ledger
from tests.cli.conftest import ANNA, Run


def test_the_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, code: int = 0) -> str:
        assert main(["suppress", *arguments]) == code
        said = capsys.readouterr()
        return said.err if code else said.out

    for command in ("list", "export"):
        said = run(command, code=2)
        assert "there is no ledger.db in this folder: name the campaign file with --campaign FILE" in said
        assert "--ledger PATH" in said
    assert main(["suppress", "add", "Anna@example.com", "example.org", "--reason", "asked"]) == 0
    added = capsys.readouterr()
    assert added.out == (
        "anna@example.com: added\neverybody at example.org: added\n"
        "2 added; 0 waiting rows are suppressed by it\n"
    )
    assert "everybody at example.org: was on the list\n0 added" in run("add", "*@example.org")
    assert added.err == "ledger.db is a new ledger\n"
    listed = run("list").splitlines()
    assert [line.split("  ")[::2] for line in listed] == [
        ["@example.org", "asked"],
        ["anna@example.com", "asked"],
    ]
    exported = run("export")
    assert exported.splitlines()[0] == "address,reason,added_at"
    Path("list.csv").write_text(exported)

    assert run("remove", "anna@example.com", "@example.org") == "2 removed\n"
    assert "anna@example.com was not on the list" in run("remove", "anna@example.com", code=2)
    assert run("list") == ""
    assert run("import", "list.csv") == (
        "everybody at example.org: added\nanna@example.com: added\n"
        "2 added, 0 were there; 0 waiting rows are suppressed by it\n"
    )
    assert run("import", "list.csv") == "0 added, 2 were there; 0 waiting rows are suppressed by it\n"
    assert run("export") == exported
    assert "nonsense" in run("add", "good@example.com", "nonsense@", code=2)
    assert run("export") == exported


@pytest.mark.parametrize(
    ("csv", "problem"),
    [
        ("name\nanna\n", "list.csv:1: which column holds the addresses? Name it with --column; the columns"),
        ("email\nanna@example.com\nno address\n", "list.csv:3: the domain 'no address' has white space"),
        ("email,added_at\na@example.com,yesterday\n", "list.csv:2: added_at: 'yesterday' is no time such as"),
        ('email\n"anna\n', "list.csv:2: a quote opens here and is never closed"),
        ("", "list.csv: the file is empty"),
    ],
)
def test_an_import_with_a_mistake_adds_nothing(
    csv: str,
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("list.csv").write_text(csv)
    assert main(["suppress", "import", "list.csv"]) == 2
    assert problem in capsys.readouterr().err
    assert not Path("ledger.db").exists()


def test_an_import_keeps_times_and_takes_other_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = ["\ufeffname,email,added_at", "A,a@example.com,2026-05-01T12:00:00+02:00", "B,b@example.com,"]
    Path("list.csv").write_text("\n".join(lines), "utf-8")
    assert main(["suppress", "import", "list.csv"]) == 0
    capsys.readouterr()
    assert main(["suppress", "export"]) == 0
    exported = capsys.readouterr().out.splitlines()
    assert exported[1] == "a@example.com,imported,2026-05-01T10:00:00+00:00"


def test_a_list_without_entries_says_so(run: Run, ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    ledger.close()
    assert main(["suppress", "list"]) == 0
    assert capsys.readouterr() == ("", "the list has no entries\n")
    run("suppress", "add", ANNA)
    assert main(["suppress", "list", "--reason", "spam"]) == 0
    assert capsys.readouterr() == ("", "no entry's reason contains 'spam'\n")


def test_a_campaign_file_names_the_ledger(run: Run, ledger: Ledger) -> None:
    ledger.close()
    Path("elsewhere").mkdir()
    Path("ledger.db").rename("elsewhere/letters.db")
    Path("campaign.yaml").write_text(Path("campaign.yaml").read_text() + "ledger: elsewhere/letters.db\n")
    assert run("suppress", "add", "--campaign", "campaign.yaml", ANNA) != ""
    for named in (["campaign.yaml"], ["--campaign", "campaign.yaml"], ["--ledger", "elsewhere/letters.db"]):
        assert ANNA in run("suppress", "list", *named)
        assert ANNA in run("suppress", "export", *named)
    assert "there is no ledger.db in this folder" in run("suppress", "list", code=2)
    said = run("suppress", "list", "campaign.yaml", "--campaign", "campaign.yaml", code=2)
    assert "give the campaign file only once" in said
    assert "give only one of --campaign" in run("suppress", "list", "campaign.yaml", "--ledger", "x", code=2)


@pytest.mark.parametrize("command", ["add", "remove"])
def test_a_file_is_not_taken_for_a_domain(run: Run, ledger: Ledger, command: str) -> None:
    said = run("suppress", command, "campaign.yaml", ANNA, code=2)
    assert "campaign.yaml is a file; if it names the campaign, write --campaign campaign.yaml" in said
    assert run("suppress", "list") == ""


def test_an_import_that_cannot_be_read(run: Run, ledger: Ledger) -> None:
    Path("latin.csv").write_bytes("email,reason\na@example.com,M\u00fcller\n".encode("latin-1"))
    assert "latin.csv:2: cell 2 is not in the file's encoding; name the right one with --encoding" in run(
        "suppress", "import", "latin.csv", code=2
    )
    assert run("suppress", "import", "latin.csv", "--encoding", "cp1252").startswith("a@example.com: added")


@pytest.mark.parametrize("reason", ["", " ", "\t"])
def test_a_blank_reason_takes_nobody_off_the_list(run: Run, ledger: Ledger, reason: str) -> None:
    """As where a script's variable is not set: nearly every reason has a blank in it."""
    run("suppress", "add", "dora@example.com", "--reason", "asked by phone")
    assert "entries, --run, --reason" in run("suppress", "remove", "--reason", reason, code=2)
    assert "dora@example.com" in run("suppress", "list")


def test_an_export_into_a_file(run: Run, ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    run("suppress", "add", "dora@example.com", "@example.org", "--reason", 'said "no", twice\nMünchen')
    exported = run("suppress", "export")
    for named in (["campaign.yaml"], []):
        assert main(["suppress", "export", *named, "-o", "gone.csv"]) == 0
        assert capsys.readouterr() == ("", "gone.csv: 2 entries\n")
        assert Path("gone.csv").read_text("utf-8") == exported
        assert Path("gone.csv").stat().st_mode & 0o777 == 0o600
    assert "0 added, 2 were there" in run("suppress", "import", "gone.csv")
    assert main(["suppress", "export", "-o", "/dev/stdout"]) == 0


def test_an_export_replaces_nothing_else(run: Run, ledger: Ledger) -> None:
    before = Path("list.csv").read_bytes()
    for own in ("list.csv", "campaign.yaml", "body.txt", "ledger.db"):
        said = run("suppress", "export", "campaign.yaml", "-o", own, "--force", code=2)
        assert f"{own} is one of the campaign's own files" in said
    for own in ("ledger.db", "ledger.db-wal"):
        assert "own files (ledger)" in run("suppress", "export", "-o", own, "--force", code=2)
    said = run("suppress", "export", "-o", "list.csv", code=2)
    assert "already exists, and is not an exported suppression list" in said
    assert Path("list.csv").read_bytes() == before
    run("suppress", "export", "-o", "list.csv", "--force")
    assert Path("list.csv").read_text() == run("suppress", "export")


def test_hashes_of_another_ledger_are_told_of(
    run: Run, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("other.csv").write_text("address\n#" + "0f" * 32 + "\n")
    assert main(["suppress", "import", "other.csv"]) == 0
    assert "names them in the ledger that made it, and nobody in any other" in capsys.readouterr().err
    assert main(["suppress", "import", "other.csv"]) == 0
    assert capsys.readouterr().err == ""
