"""`campaign bounces`: what it says, and the exit codes that a mail server understands."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from campaign.cli import main
from campaign.ledger import Ledger
from campaign.ledger.protocols import Intent
from campaign.ledger.sqlite import opening
from tests.cli.conftest import ANNA, BEN, table
from tests.feedback.mails import block, bounce, complaint, letter
from tests.ledger.book import NOW, enrol, people, result, start

TOKEN = "0123456789abcdef0123"
RETURN_PATH = f"bounces+{TOKEN}@example.com"
DEAD = bounce(block(final=ANNA), to=RETURN_PATH, returned="<x@y>")
Run = Callable[..., str]


@pytest.fixture
def sent(folder: Path) -> Iterator[Ledger]:
    """Anna and Ben have had the message."""
    book = Ledger.open(Path("ledger.db"), "news", Path("campaign.yaml").absolute())
    enrol(book, people(ANNA, BEN))
    sending = start(book)
    sending.claim(NOW, 2)
    for address, token in ((ANNA, TOKEN), (BEN, "f" * 20)):
        sending.record((), (Intent(address, NOW, (address,), f"<{address}>", token),))
        sending.record((result(address),), ())
    sending.end(NOW)
    yield book
    book.close()


def piped(
    mail: bytes, *arguments: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "campaign", "bounces", *(arguments or ("campaign.yaml", "-"))],
        input=mail,
        capture_output=True,
        env={**os.environ, **(env or {})},
    )


def listed(ledger: Ledger) -> set[str]:
    return {entry.pattern for entry in ledger.suppressions}


def test_quiet(run: Run, sent: Ledger) -> None:
    """For cron, which mails whatever is said."""
    Path("mbox").write_bytes(b"From x\n" + DEAD + b"\nFrom x\n" + letter(subject="Where is it?"))
    assert run("bounces", "campaign.yaml", "--mbox", "mbox", "-q") == ""
    assert listed(sent) == {ANNA}
    assert "cannot be read" in run("bounces", "campaign.yaml", "--mbox", "gone", "-q", code=2)


def test_an_mbox_and_all_that_tells_of_it(run: Run, sent: Ledger) -> None:
    Path("mbox").write_bytes(b"From x\n" + DEAD + b"\nFrom x\n" + letter(subject="Where\x1b is it?"))
    said = run("bounces", "campaign.yaml", "--mbox", "mbox")
    assert said.splitlines()[:4] == [
        "2 mails read",
        "  1 address bounced for good",
        "  1 not understood",
        "1 address is suppressed: campaign suppress list campaign.yaml",
    ]
    assert "mbox, mail 2: Ann <ann@example.net> 'Where is it?': not understood" in said
    assert "came back: 1 bounced for good" in run("status", "campaign.yaml")
    assert "1 × example.com: bounced for good, 5.1.1 (no such mailbox)" in run("status", "campaign.yaml")
    assert json.loads(run("status", "campaign.yaml", "--json"))["came_back"] == {"bounced": 1}
    [row] = table(run("export", "campaign.yaml", "--bounced"))
    assert (row["email"], row["campaign_status"]) == (ANNA, "accepted")
    assert row["campaign_returned"] == "bounced: 5.1.1"
    assert "2 of 2" in run("status", "campaign.yaml")
    assert ANNA in run("suppress", "list", "campaign.yaml", "--reason", "Bounced")
    assert run("suppress", "list", "campaign.yaml", "--reason", "complained") == ""
    run("report", "campaign.yaml", "-o", "report.html")
    assert "What came back" in Path("report.html").read_text("utf-8")


def test_an_export_of_what_bounced_is_an_export(run: Run, sent: Ledger) -> None:
    assert main(["export", "campaign.yaml", "--bounced", "-o", "bounced.csv"]) == 0
    assert main(["export", "campaign.yaml", "--bounced", "-o", "bounced.csv"]) == 0


def test_a_dry_run_changes_nothing(run: Run, sent: Ledger) -> None:
    Path("mbox").write_bytes(b"From x\n" + DEAD)
    before = Path("ledger.db").read_bytes()
    said = run("bounces", "campaign.yaml", "--mbox", "mbox", "--dry-run")
    assert said.splitlines()[:2] == [
        "1 mail read: nothing was recorded, this was a dry run",
        "  1 address bounced for good",
    ]
    assert Path("ledger.db").read_bytes() == before


def test_two_mails_about_one_address_are_one_address(run: Run, sent: Ledger) -> None:
    again = bounce(block(final=ANNA), to=RETURN_PATH, identity="<again@x>", returned="<x@y>")
    abuse = complaint("abuse", ANNA, to=RETURN_PATH)
    Path("mbox").write_bytes(b"".join(b"From x\n" + mail + b"\n" for mail in (DEAD, again, abuse)))
    assert run("bounces", "campaign.yaml", "--mbox", "mbox").splitlines() == [
        "3 mails read",
        "  1 address bounced for good",
        "  1 address complained",
        "1 address is suppressed: campaign suppress list campaign.yaml",
    ]


@pytest.mark.parametrize("place", ["--maildir", "--mbox"])
def test_a_place_that_is_not_there(
    place: str, folder: Path, sent: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bounces", "campaign.yaml", place, "nix"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "nix" in said.err


def test_without_a_place_it_says_what_to_write(run: Run, sent: Ledger) -> None:
    assert "there is no `bounces.imap`" in run("bounces", "campaign.yaml", code=2)
    assert "give only one of" in run("bounces", "campaign.yaml", "--mbox", "a", "--imap", code=2)
    assert "is not a mailbox" in run("bounces", "campaign.yaml", "mbox", code=2)


def test_an_alias_records_one_mail(sent: Ledger) -> None:
    done = piped(DEAD)
    assert done.returncode == 0, done.stderr
    assert listed(sent) == {ANNA}
    assert piped(DEAD).returncode == 0  # again: it is recorded


def test_the_recipient_of_the_envelope_can_be_given(sent: Ledger) -> None:
    mail = bounce(block(final=ANNA), to="someone@example.com", returned="<x@y>")
    assert piped(mail, "campaign.yaml", "-", "--recipient", RETURN_PATH).returncode == 0
    assert listed(sent) == {ANNA}


@pytest.mark.parametrize("mail", [b"\n", b"\0" * 100, letter(), bounce(block(), to="x@y.example")])
def test_what_needs_no_record_is_done_with(sent: Ledger, mail: bytes) -> None:
    assert piped(mail).returncode == 0
    assert listed(sent) == set()


def _newer(folder: Path) -> None:
    connection = sqlite3.connect(folder / "ledger.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()


FAULTS: dict[str, Callable[[Path], object]] = {
    "a typo in the YAML": lambda folder: (folder / "campaign.yaml").write_text("name: [news"),
    "an unknown key": lambda folder: (folder / "campaign.yaml").write_text("name: news\nbouncse: {}"),
    "no campaign file": lambda folder: (folder / "campaign.yaml").unlink(),
    "another name": lambda folder: (folder / "campaign.yaml").write_text("name: newz"),
    "no ledger": lambda folder: (folder / "ledger.db").unlink(),
    "a newer ledger": _newer,
    "no ledger of ours": lambda folder: (folder / "ledger.db").write_bytes(b"something else"),
    "a damaged ledger": lambda folder: (folder / "ledger.db").write_bytes(
        (folder / "ledger.db").read_bytes()[:3000]
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_is_wrong_the_server_tries_again(folder: Path, sent: Ledger, fault: str) -> None:
    sent.close()
    FAULTS[fault](folder)
    done = piped(DEAD)
    assert done.returncode == 75, done.stderr


@pytest.mark.parametrize("arguments", [("--nonsense",), ("--mbox", "x"), ("a", "b")])
def test_so_it_does_for_a_typo_in_the_alias(sent: Ledger, arguments: tuple[str, ...]) -> None:
    assert piped(DEAD, "campaign.yaml", "-", *arguments).returncode == 75


def test_so_it_does_for_a_locked_ledger(
    sent: Ledger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(opening, "BUSY_TIMEOUT", 0.1)
    monkeypatch.setattr(sys, "stdin", open(os.devnull, "rb"))  # noqa: SIM115, PTH123
    locked = sqlite3.connect("ledger.db", isolation_level=None)
    try:
        locked.execute("BEGIN IMMEDIATE")
        assert main(["bounces", "campaign.yaml", "-"]) == 75
    finally:
        locked.close()
        sys.stdin.close()


def test_so_it_does_for_a_ledger_that_cannot_be_written(sent: Ledger) -> None:
    """As on a full disk: the kernel's limit on a file's size refuses the next page."""
    sent.close()
    script = 'ulimit -f 0; exec "$@"'
    command = [sys.executable, "-m", "campaign", "bounces", "campaign.yaml", "-"]
    done = subprocess.run(["sh", "-c", script, "sh", *command], input=DEAD, capture_output=True)
    assert done.returncode != 0
    assert done.returncode in (75, -25)  # -25: SIGXFSZ, which a server takes for a failure for now
    book = Ledger.open(Path("ledger.db"), "news")
    assert listed(book) == set()
    book.close()


def test_so_it_does_for_a_bug(sent: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    from campaign.feedback import reading

    def broken(*arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(reading, "understand", broken)
    stdin = Path("mail")
    stdin.write_bytes(DEAD)
    with stdin.open() as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        assert main(["bounces", "campaign.yaml", "-"]) == 75
        assert main(["bounces", "campaign.yaml", "--mbox", "gone"]) == 2


def test_held_bounces_say_what_to_do(run: Run, folder: Path) -> None:
    book = Ledger.open(Path("ledger.db"), "news", Path("campaign.yaml").absolute())
    addresses = [f"user{n}@example.com" for n in range(20)]
    enrol(book, people(*addresses))
    sending = start(book)
    sending.claim(NOW, 20)
    for number, address in enumerate(addresses):
        sending.record((), (Intent(address, NOW, (address,), f"<{number}@x>", f"{number:020d}"),))
        sending.record((result(address),), ())
    sending.end(NOW)
    book.close()
    mails = [
        bounce(block(final=a), to=f"b+{n:020d}@example.com", identity=f"<{n}@r>")
        for n, a in enumerate(addresses[:4])
    ]
    Path("mbox").write_bytes(b"".join(b"From x\n" + mail + b"\n" for mail in mails))
    said = run("bounces", "campaign.yaml", "--mbox", "mbox")
    assert "4 addresses that bounced for good are suppressed for this campaign only" in said
    assert "campaign suppress list campaign.yaml\n" not in said  # none of them is for all campaigns
    status = run("status", "campaign.yaml")
    assert "4 addresses that bounced for good are suppressed for this campaign only" in status
    shown = run("suppress", "list", "campaign.yaml", "--reason", "bounced:")
    assert shown.count("(held: for news alone)") == 4
    # Imported, they would be suppressed for all campaigns.
    assert run("suppress", "export", "campaign.yaml", "-o", "list.out") == ""
    assert Path("list.out").read_text() == "address,reason,added_at\n"
    assert run("suppress", "remove", "--reason", "bounced:", "--campaign", "campaign.yaml") == "4 removed\n"


LARGE = """
import resource, sys
from campaign.cli import main
main(["bounces", "campaign.yaml", "--mbox", "small"])
before = resource.getrusage(resource.RUSAGE_SELF)
code = main(["bounces", "campaign.yaml", *sys.argv[1:]])
after = resource.getrusage(resource.RUSAGE_SELF)
print("kB", after.ru_maxrss - before.ru_maxrss, file=sys.stderr)
raise SystemExit(code)
"""


@pytest.mark.parametrize("way", ["maildir", "mbox", "alias"])
def test_a_mail_of_100_mb_takes_less_than_50(sent: Ledger, way: str) -> None:
    """By the kernel's count of the whole process; the mail in one line, and a report before it."""
    Path("small").write_bytes(b"From x\n" + letter())
    mail = DEAD + b"x" * 1000
    for name in ("new", "cur"):
        (Path("maildir") / name).mkdir(parents=True)
    large = Path("maildir/new/large")
    with large.open("wb") as file:
        file.write((b"From x\n" if way == "mbox" else b"") + mail)
        file.truncate(100_000_000)
    arguments = {"maildir": ["--maildir", "maildir"], "mbox": ["--mbox", str(large)], "alias": ["-"]}[way]
    with large.open("rb") as stdin:
        done = subprocess.run([sys.executable, "-c", LARGE, *arguments], stdin=stdin, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert listed(sent) == {ANNA}
    assert int(done.stderr.split()[-1]) < 50_000


@pytest.mark.parametrize("stdin", ["<&-", "</dev/null"])
def test_an_alias_that_gives_no_mail_is_told_to_try_again(run: Run, sent: Ledger, stdin: str) -> None:
    done = subprocess.run(
        f"{sys.executable} -m campaign bounces campaign.yaml - {stdin}",
        shell=True,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 75
    assert done.stderr == "error: standard input is empty, but a mail is expected\n"


def test_a_command_that_asks_finds_no_terminal_where_the_standard_input_is_closed(folder: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m campaign send campaign.yaml <&-", shell=True, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "there is no terminal to ask on" in done.stderr
