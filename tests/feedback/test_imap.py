"""A real IMAP server: what is understood is moved, nothing else is touched, and a broken run goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from campaign.cli import main
from campaign.feedback.imap import KEYWORD
from campaign.ledger.returns import Kind
from tests.feedback.mails import block, bounce, letter
from tests.feedback.test_reading import ANN, BEN, Sent
from tests.ledger.book import database
from tests.servers.imap import Dovecot
from tests.servers.scripted import Peer, Serve

Make = Callable[..., Dovecot]


@pytest.fixture(scope="module")
def shared(make_dovecot: Make) -> Dovecot:
    return make_dovecot()


@pytest.fixture
def server(shared: Dovecot) -> Dovecot:
    shared.empty()
    return shared


@pytest.fixture
def sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sent]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMAP_PASSWORD", Dovecot.password)
    sent = Sent(tmp_path / "ledger.db")
    yield sent
    sent.ledger.close()


def write(server: Dovecot, **settings: object) -> None:
    imap = {
        "host": server.host,
        "port": server.port,
        "username": server.username,
        "password_env": "IMAP_PASSWORD",
        "ca_file": str(server.ca_file),
        **settings,
    }
    imap = {key: value for key, value in imap.items() if value is not None}
    Path("campaign.yaml").write_text(yaml.safe_dump({"name": "spring", "bounces": {"imap": imap}}))


def mails(sent: Sent) -> tuple[bytes, bytes, bytes]:
    """A bounce that is ours, one that is not, and a letter."""
    ours = bounce(block(final=ANN), to=sent.to(ANN), returned="<x@y>")
    return ours, bounce(block(final=BEN), to="x@y.example", returned="<x@y>"), letter()


def contents(server: Dovecot, folder: str = "INBOX") -> list[bytes]:
    return [content for content, _ in server.mails(folder)]


def test_what_is_understood_is_moved_and_the_rest_stays_as_it_was(server: Dovecot, sent: Sent) -> None:
    ours, theirs, note = mails(sent)
    server.deliver(note, ours, theirs)
    write(server)
    assert main(["bounces", "campaign.yaml"]) == 0
    assert server.mails("Processed")[0][0] == ours
    assert contents(server) == [note, theirs]
    assert not any(flags & {"\\Seen", "\\Deleted"} for _, flags in server.mails())
    assert sent.suppressed == {ANN}
    # Into the folder that is there by now.
    server.deliver(ours)
    assert main(["bounces", "campaign.yaml", "--imap"]) == 0
    assert contents(server, "Processed") == [ours, ours]
    assert sent.ledger.returns().counts()[Kind.BOUNCED] == 1


def test_without_move_one_mail_is_expunged_and_no_other(make_dovecot: Make, sent: Sent) -> None:
    server = make_dovecot(capability="IMAP4rev1 UIDPLUS")
    ours, _, note = mails(sent)
    server.deliver(letter(subject="deleted by another"), flags="\\Deleted")
    server.deliver(ours, note)
    write(server)
    assert main(["bounces", "campaign.yaml"]) == 0
    assert contents(server, "Processed") == [ours]
    assert contents(server) == [letter(subject="deleted by another"), note]


def test_without_both_a_keyword_says_that_it_was_read(
    make_dovecot: Make, sent: Sent, capsys: pytest.CaptureFixture[str]
) -> None:
    server = make_dovecot(capability="IMAP4rev1")
    ours, _, note = mails(sent)
    server.deliver(letter(subject="deleted by another"), flags="\\Deleted")
    server.deliver(ours, note)
    write(server)
    assert main(["bounces", "campaign.yaml"]) == 0
    assert len(server.mails()) == 3
    assert [KEYWORD in flags for _, flags in server.mails()] == [False, True, False]
    assert server.mails("Processed") == []
    capsys.readouterr()
    assert main(["bounces", "campaign.yaml"]) == 0
    assert capsys.readouterr().out.startswith("1 mail read\n")


def test_a_dry_run_moves_nothing(server: Dovecot, sent: Sent) -> None:
    server.deliver(*mails(sent))
    write(server)
    assert main(["bounces", "campaign.yaml", "--dry-run"]) == 0
    assert len(server.mails()) == 3
    assert server.mails("Processed") == []
    assert sent.suppressed == set()


@pytest.mark.parametrize("name", ["Read by us", "Gelesen & weg", "Zurück/zurück 便り", 'a "b" \\c'])
def test_folders_of_any_name(server: Dovecot, sent: Sent, name: str) -> None:
    name = name.replace("/", "-")
    ours, _, note = mails(sent)
    server.deliver(ours, note)
    write(server, done=name)
    assert main(["bounces", "campaign.yaml"]) == 0
    assert contents(server) == [note]
    with server.session() as session:
        assert len(session.list()[1]) == 2
    write(server, folder=name, done="INBOX")
    assert main(["bounces", "campaign.yaml"]) == 0
    assert len(server.mails()) == 2


@pytest.mark.parametrize(
    ("settings", "password", "words"),
    [
        ({}, "wrong", "refuses"),
        ({"ca_file": None}, Dovecot.password, "certificate does not verify"),
        ({"folder": "nowhere"}, Dovecot.password, "'nowhere' cannot be opened"),
        ({"port": 9}, Dovecot.password, "localhost:9"),
    ],
)
def test_a_mailbox_that_cannot_be_opened_is_exit_code_6(
    server: Dovecot,
    sent: Sent,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    settings: dict[str, object],
    password: str,
    words: str,
) -> None:
    monkeypatch.setenv("IMAP_PASSWORD", password)
    write(server, **settings)
    assert main(["bounces", "campaign.yaml"]) == 6
    said = capsys.readouterr()
    assert words in said.err
    assert "Traceback" not in said.err
    assert Dovecot.password not in said.err + said.out


def test_an_access_token_in_place_of_a_password(
    make_dovecot: Make, sent: Sent, capsys: pytest.CaptureFixture[str]
) -> None:
    server = make_dovecot(tokens=True)
    ours, theirs, note = mails(sent)
    server.deliver(note, ours, theirs)
    told = Path("token")
    with_token = {"password_env": None, "auth": "xoauth2", "token_command": ["cat", str(told)]}
    write(server, **with_token)
    told.write_text(f"{server.token(lasts=-30)}\n")
    assert main(["bounces", "campaign.yaml"]) == 6
    assert "refuses" in capsys.readouterr().err
    told.write_text(f"{server.token()}\n")
    assert main(["bounces", "campaign.yaml"]) == 0
    assert contents(server, "Processed") == [ours]
    assert sent.suppressed == {ANN}


def test_a_mechanism_that_the_server_does_not_offer(
    server: Dovecot, sent: Sent, capsys: pytest.CaptureFixture[str]
) -> None:
    write(server, password_env=None, auth="xoauth2", token_command=["echo", "ya29"])
    assert main(["bounces", "campaign.yaml"]) == 6
    assert f"localhost:{server.port}: the IMAP server offers no login by XOAUTH2" in capsys.readouterr().err


def test_the_command_login_if_it_is_named(serve: Serve, sent: Sent) -> None:
    heard = answering(serve, {"CAPABILITY": b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n"})
    file = Path("campaign.yaml")
    file.write_text(file.read_text().replace("password_file", "auth: login\n    password_file"))
    main(["bounces", "campaign.yaml"])
    assert [line for line in heard if line.startswith(("LOGIN", "AUTHENTICATE"))] == ['LOGIN news "secret"']


def test_killed_midway_it_goes_on_and_counts_each_once(server: Dovecot, sent: Sent) -> None:
    box = [
        bounce(block("5.7.1", final=ANN), to=sent.to(ANN), returned="<x@y>", identity=f"<{n}@report>")
        for n in range(8)
    ]
    server.deliver(*box)
    write(server)
    process = subprocess.Popen(
        [sys.executable, "-m", "campaign", "bounces", "campaign.yaml"], stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not database(sent.ledger).rows("SELECT 1 FROM events WHERE source IS NOT NULL"):
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert main(["bounces", "campaign.yaml"]) == 0
    assert contents(server) == []
    assert sorted(set(contents(server, "Processed"))) == sorted(box)
    assert database(sent.ledger).row("SELECT count(*) FROM events WHERE source IS NOT NULL") == (8,)


def test_of_a_large_mail_the_beginning_is_fetched(server: Dovecot, sent: Sent) -> None:
    server.deliver(mails(sent)[0] + b"x" * 5_000_000)
    write(server)
    assert main(["bounces", "campaign.yaml"]) == 0
    assert sent.suppressed == {ANN}
    assert len(contents(server, "Processed")[0]) > 5_000_000


def answering(serve: Serve, answers: dict[str, bytes], hangs_up_at: int = 99) -> list[str]:
    """Write a campaign file for a server that gives these answers; return the commands that it heard."""
    answers = {
        "CAPABILITY": b"* CAPABILITY IMAP4rev1 MOVE\r\n",
        "SELECT": b"* 1 EXISTS\r\n",
        "FETCH 1": b"* 1 FETCH (UID 7 FLAGS ())\r\n",
    } | answers
    heard: list[str] = []

    def script(peer: Peer) -> None:
        peer.tls()
        peer.say(b"* OK hello\r\n")
        while len(heard) < hangs_up_at and heard[-1:] != ["LOGOUT"]:
            tag, _, command = peer.hear().partition(" ")
            heard.append(command)
            said = next((text for verb, text in answers.items() if command.startswith(verb)), b"")
            peer.say(said + f"{tag} OK done\r\n".encode())

    scripted(serve, script)
    return heard


def scripted(serve: Serve, script: Callable[[Peer], None], password: str = "secret") -> None:
    """Write a campaign file for a server that follows a script."""
    Path("password").write_text(password)
    imap = {"host": "localhost", "port": serve(script).port, "username": "news"}
    imap |= {"password_file": "password", "ca_file": str(serve.certificates.ca_file)}
    Path("campaign.yaml").write_text(yaml.safe_dump({"name": "spring", "bounces": {"imap": imap}}))


@pytest.mark.parametrize(
    "answers",
    [
        {"CAPABILITY": b"* CAPABILITY IMAP4rev1 \xff\r\n"},
        {"SELECT": b"* " + b"9" * 5000 + b" EXISTS\r\n"},
        {"UID FETCH": b"* 1 FETCH (UID 7 BODY[]<0> {99999999999999999999}\r\nabc"},
        {"UID FETCH": b"* 1 FETCH (UID 7 BODY[]<0> {9000000000000000000}\r\nabc"},
    ],
    ids=["charset", "count", "no-number", "memory"],
)
def test_what_no_mailbox_holds_is_no_bug_of_ours(
    serve: Serve, sent: Sent, capsys: pytest.CaptureFixture[str], answers: dict[str, bytes]
) -> None:
    answering(serve, answers)
    assert main(["bounces", "campaign.yaml"]) == 6
    assert "the IMAP server says what no mailbox holds" in capsys.readouterr().err


def test_a_folder_that_can_only_be_read_is_told_as_such(
    serve: Serve, sent: Sent, capsys: pytest.CaptureFixture[str]
) -> None:
    def script(peer: Peer) -> None:
        peer.tls()
        peer.say(b"* OK hello\r\n")
        command = ""
        while command != "LOGOUT":
            tag, _, command = peer.hear().partition(" ")
            untagged = "* CAPABILITY IMAP4rev1 MOVE\r\n" if command == "CAPABILITY" else ""
            peer.say(f"{untagged}{tag} OK {'[READ-ONLY] ' * command.startswith('SELECT')}done\r\n".encode())

    scripted(serve, script)
    assert main(["bounces", "campaign.yaml"]) == 6
    assert "'INBOX' can only be read here, and understood mail is moved out of it" in capsys.readouterr().err


def test_a_port_without_tls_is_told_as_such(
    serve: Serve, sent: Sent, capsys: pytest.CaptureFixture[str]
) -> None:
    def script(peer: Peer) -> None:
        peer.say(b"* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] ready\r\n")

    scripted(serve, script)
    assert main(["bounces", "campaign.yaml"]) == 6
    assert "it does not speak TLS from the start, as servers do at port 993" in capsys.readouterr().err


def test_a_count_of_mails_that_are_not_there_ends_the_list(serve: Serve, sent: Sent) -> None:
    answers = {"SELECT": b"* 4294967295 EXISTS\r\n", "FETCH 1": b""}
    heard = answering(serve, answers, hangs_up_at=8)
    assert main(["bounces", "campaign.yaml"]) == 0
    assert sum(command.startswith("FETCH ") for command in heard) == 1


def test_a_mail_that_was_not_asked_for_is_not_taken_for_the_one_that_was(serve: Serve, sent: Sent) -> None:
    ours, _, note = mails(sent)
    told = [
        b"* %d FETCH (UID %d BODY[]<0> {%d}\r\n%s)\r\n" % (n, n, len(m), m) for n, m in ((8, ours), (7, note))
    ]
    heard = answering(serve, {"UID FETCH": b"* 9 FETCH (FLAGS (\\Seen))\r\n" + b"".join(told)})
    assert main(["bounces", "campaign.yaml"]) == 0
    assert not any(command.startswith("UID MOVE") for command in heard)
    assert sent.suppressed == set()


def test_mails_are_moved_together(serve: Serve, sent: Sent) -> None:
    """Dovecot looks through a Maildir after each command that moves: one takes as long as five hundred."""
    count = 1100
    mail = bounce(block("5.7.1", final=ANN), to=sent.to(ANN), returned="<x@y>")
    answers = {"SELECT": b"* %d EXISTS\r\n" % count, "FETCH 1": b""}
    for uid in range(1, count + 1):
        answers["FETCH 1"] += b"* %d FETCH (UID %d FLAGS ())\r\n" % (uid, uid)
        answers[f"UID FETCH {uid} "] = b"* %d FETCH (UID %d BODY[]<0> {%d}\r\n%s)\r\n" % (
            uid,
            uid,
            len(mail),
            mail,
        )
    heard = answering(serve, answers, hangs_up_at=2000)
    assert main(["bounces", "campaign.yaml"]) == 0
    moved = [command.split()[2].split(",") for command in heard if command.startswith("UID MOVE")]
    assert [len(uids) for uids in moved] == [500, 500, 100]
    assert [int(uid) for uids in moved for uid in uids] == list(range(1, count + 1))
    assert heard[-1] == "LOGOUT"


def test_many_small_mails_are_fetched_at_once(server: Dovecot, sent: Sent) -> None:
    box = [bounce(block("5.7.1", final=ANN), to=sent.to(ANN), returned=f"<{n}@y>") for n in range(120)]
    server.deliver(*box)
    write(server)
    assert main(["bounces", "campaign.yaml"]) == 0
    assert contents(server) == []
    assert sorted(contents(server, "Processed")) == sorted(box)


def listed(*uids: int, size: int = 1000) -> bytes:
    return b"".join(b"* %d FETCH (UID %d FLAGS () RFC822.SIZE %d)\r\n" % (n, n, size) for n in uids)


def test_a_command_fetches_fifty_mails_or_a_megabyte(serve: Serve, sent: Sent) -> None:
    for size, expected in ((1000, [50, 50, 20]), (300_000, [3] * 40), (5_000_000, [1] * 120)):
        answers = {"SELECT": b"* 120 EXISTS\r\n", "FETCH 1": listed(*range(1, 121), size=size)}
        heard = answering(serve, answers, hangs_up_at=1000)
        assert main(["bounces", "campaign.yaml"]) == 0
        fetched = [line.split()[2].split(",") for line in heard if line.startswith("UID FETCH")]
        assert [len(uids) for uids in fetched] == expected
        assert [int(uid) for uids in fetched for uid in uids] == list(range(1, 121))


@pytest.mark.parametrize(
    "form", ["* %d FETCH (UID %d BODY[]<0> {%d}\r\n%s)", "* %d FETCH (BODY[]<0> {%d}\r\n%s UID %d)"]
)
def test_the_uid_stands_before_the_mail_or_behind_it(serve: Serve, sent: Sent, form: str) -> None:
    mail = bounce(block("5.7.1", final=ANN), to=sent.to(ANN), returned="<x@y>").decode()
    letters = {1: letter().decode(), 2: mail, 3: letter(subject="other").decode()}
    told = ""
    for uid, text in letters.items():
        values = (uid, uid, len(text), text) if "(UID" in form else (uid, len(text), text, uid)
        told += form % values + "\r\n"
    answers = {"SELECT": b"* 3 EXISTS\r\n", "FETCH 1": listed(1, 2, 3), "UID FETCH 1,2,3": told.encode()}
    heard = answering(serve, answers)
    assert main(["bounces", "campaign.yaml"]) == 0
    assert [line for line in heard if line.startswith("UID MOVE")] == ['UID MOVE 2 "Processed"']


def test_a_mail_that_the_server_refuses_keeps_back_no_other(
    serve: Serve, sent: Sent, capsys: pytest.CaptureFixture[str]
) -> None:
    mail = bounce(block(final=ANN), to=sent.to(ANN), returned="<x@y>")

    def script(peer: Peer) -> None:
        peer.tls()
        peer.say(b"* OK hello\r\n")
        answers = {
            "CAPABILITY": b"* CAPABILITY IMAP4rev1 MOVE\r\n",
            "SELECT": b"* 3 EXISTS\r\n",
            "FETCH 1": listed(1, 2, 3),
            "UID FETCH 3 ": b"* 3 FETCH (UID 3 BODY[]<0> {%d}\r\n%s)\r\n" % (len(mail), mail),
        }
        command = ""
        while command != "LOGOUT":
            tag, _, command = peer.hear().partition(" ")
            said = next((text for verb, text in answers.items() if command.startswith(verb)), b"")
            refused = command.startswith(("UID FETCH 1,2,3", "UID FETCH 2 "))
            peer.say(said + f"{tag} {'NO it is damaged' if refused else 'OK done'}\r\n".encode())

    scripted(serve, script)
    assert main(["bounces", "campaign.yaml"]) == 0
    out = capsys.readouterr().out
    assert "2 mails read" in out  # the first one is gone
    assert "1 not understood" in out
    assert sent.suppressed == {ANN}


@pytest.mark.parametrize(
    ("refuses", "password", "code", "told"),
    [
        ("FETCH 1", "secret", 6, "refuses to list"),
        ("UID FETCH", "secret", 0, "1 not understood"),  # that one is listed for a person
        ("nothing", "pässword", 6, "its LOGIN takes ASCII only"),
    ],
)
def test_a_server_that_refuses_to_show_mail_is_not_an_empty_mailbox(
    serve: Serve,
    sent: Sent,
    capsys: pytest.CaptureFixture[str],
    refuses: str,
    password: str,
    code: int,
    told: str,
) -> None:
    answers = {
        "CAPABILITY": "* CAPABILITY IMAP4rev1 MOVE\r\n",
        "SELECT": "* 1 EXISTS\r\n",
        "FETCH 1": "* 1 FETCH (UID 7 FLAGS ())\r\n",
    }

    def script(peer: Peer) -> None:
        peer.tls()
        peer.say(b"* OK hello\r\n")
        command = ""
        while command != "LOGOUT":
            tag, _, command = peer.hear().partition(" ")
            said = next((text for verb, text in answers.items() if command.startswith(verb)), "")
            done = "NO not now" if command.startswith(refuses) else "OK done"
            peer.say(f"{said if done != 'NO not now' else ''}{tag} {done}\r\n".encode())

    scripted(serve, script, password)
    assert main(["bounces", "campaign.yaml"]) == code
    said = capsys.readouterr()
    assert told in (said.err if code else said.out)
