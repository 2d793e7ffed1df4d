"""Reading what came back: the token decides, and nothing else."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign.errors import UserError
from campaign.feedback.mailboxes import Letter, Mailbox, Maildir, Mbox, Piped
from campaign.feedback.mime import MOST
from campaign.feedback.reading import Account, Other, Reader
from campaign.ledger import Ledger
from campaign.ledger.protocols import Intent
from campaign.ledger.returns import Fate, Kind, Rules
from campaign.message.tokens import Secrets, Tokens
from tests.feedback.mails import FAILED, block, bounce, complaint, letter, lines
from tests.ledger.book import NOW, enrol, outcome, people, result, sqlite, start

ANN, BEN, BOSS = "ann@example.net", "ben@example.net", "boss@example.net"
MAILTO = "unsubscribe+{{ bounce.token }}@example.com"


class Letters:
    """Mails in memory, and which of them were understood."""

    def __init__(self, *mails: bytes) -> None:
        self.mails = mails
        self.done: list[str] = []

    def letters(self) -> Iterator[Letter]:
        for number, mail in enumerate(self.mails):
            yield Letter(mail, str(number))

    def understood(self, letter: Letter) -> None:
        self.done.append(letter.where)


class Sent:
    """A campaign that Ann and Ben have had, Ben with a copy to his boss."""

    def __init__(self, path: Path, name: str = "spring") -> None:
        self.ledger = Ledger.open(path, name)
        self.tokens = Tokens(name, Secrets(self.ledger.secret))
        enrol(self.ledger, people(ANN, BEN))
        run = start(self.ledger)
        run.claim(NOW, 2)
        for address, copies in ((ANN, ()), (BEN, (BOSS,))):
            run.record((), (Intent(address, NOW, (address, *copies), self.id(address), self.token(address)),))
            run.record((result(address, copies=tuple(map(outcome, copies))),), ())
        run.end(NOW)

    def id(self, address: str) -> str:
        return self.tokens.message_id(address, "example.com")

    def token(self, address: str) -> str:
        return self.tokens.bounce(address)

    def to(self, address: str, what: str = "bounces") -> str:
        return f"{what}+{self.token(address)}@example.com"

    def read(self, mailbox: Mailbox, *, dry: bool = False) -> Account:
        return Reader(self.ledger.returns(), Rules(), MAILTO, dry=dry).read(mailbox, NOW)

    @property
    def suppressed(self) -> set[str]:
        return {entry.pattern for entry in self.ledger.suppressions}


@pytest.fixture
def sent(tmp_path: Path) -> Iterator[Sent]:
    sent = Sent(tmp_path / "ledger.db")
    yield sent
    sent.ledger.close()


def test_each_kind_of_mail(sent: Sent) -> None:
    box = Letters(
        bounce(FAILED, to=sent.to(ANN), returned="<x@y>"),
        bounce(block("5.2.2", final=BEN), to=sent.to(BEN), identity="<2@x>"),
        bounce(block("4.4.1", Action="delayed"), to=sent.to(ANN), identity="<3@x>"),
        letter("Auto-Submitted: auto-replied", to=sent.to(ANN)),
        letter("Auto-Submitted: auto-replied", to="news@example.com"),
        letter(to=sent.to(ANN), subject="What is this?"),
        complaint("abuse", BOSS, returned=sent.id(BEN)),
        complaint("fraud", BEN, returned=sent.id(BEN), identity="<fraud@x>"),
        letter(sender=BEN, to=sent.to(BEN, "unsubscribe")),
        bounce(FAILED, to="bounces@example.com"),
    )
    account = sent.read(box)
    assert account.mails == 10
    assert account.kinds == {
        Kind.BOUNCED: {ANN},
        Kind.BOUNCED_FOR_NOW: {BEN},
        Kind.COMPLAINED: {BOSS},
        Kind.UNSUBSCRIBED: {BEN},
    }
    assert account.others == {
        Other.NOTICE: 3,
        Other.NOT_UNDERSTOOD: 1,
        Other.PERSON: 1,
        Other.NOT_OURS: 1,
    }
    assert [one.where for one in account.listed] == ["5", "7", "9"]
    # What is ours and needs nobody is done with; all others stay as they are.
    assert box.done == ["0", "1", "2", "3", "6", "8"]
    assert sent.suppressed == {ANN, BOSS, BEN}


def test_read_again_nothing_counts_twice(sent: Sent) -> None:
    box = Letters(bounce(FAILED, to=sent.to(ANN)))
    sent.read(box)
    account = sent.read(box)
    assert account.others == {Other.EARLIER: 1}
    assert box.done == ["0", "0"]


def test_a_dry_run_records_nothing(sent: Sent) -> None:
    account = sent.read(Letters(bounce(FAILED, to=sent.to(ANN)), bounce(FAILED, to=sent.to(BEN))), dry=True)
    assert account.kinds == {Kind.BOUNCED: {ANN}}
    assert account.fates == {Fate.NOTED: {(Kind.BOUNCED, ANN)}, Fate.UNNAMED: {(Kind.BOUNCED, "")}}
    assert sent.suppressed == set()
    assert sent.ledger.returns().counts()[Kind.BOUNCED] == 0


def test_a_dead_cc_is_suppressed_and_the_row_is_not(sent: Sent) -> None:
    sent.read(Letters(bounce(block(final=BOSS), to=sent.to(BEN))))
    assert sent.suppressed == {BOSS}


@pytest.mark.parametrize(
    ("final", "kind"),
    [
        ("left.last.year@example.org", Kind.BOUNCED_FOR_NOW),  # a member of the group that Ann's address is
        (
            f"{ANN.partition('@')[0]}@mailbox17.example.org",
            Kind.BOUNCED,
        ),  # the same mailbox, within a provider
        (ANN.partition("@")[0], Kind.BOUNCED),
        (ANN.upper(), Kind.BOUNCED),
    ],
)
def test_who_left_a_group_does_not_take_it_along(sent: Sent, final: str, kind: Kind) -> None:
    passed_on = block(final=final, Original_Recipient=f"rfc822;{ANN}")
    account = sent.read(Letters(bounce(passed_on, to=sent.to(ANN))))
    assert account.kinds == {kind: {ANN}}
    assert sent.suppressed == ({ANN} if kind is Kind.BOUNCED else set())


def test_the_message_that_was_returned_names_the_row(sent: Sent) -> None:
    sent.read(Letters(bounce(FAILED, to="bounces@example.com", returned=sent.id(ANN))))
    assert sent.suppressed == {ANN}


def test_the_recipient_of_the_envelope_names_the_row(sent: Sent) -> None:
    sent.read(Piped(io.BytesIO(bounce(FAILED, to="x@y.example")), sent.to(ANN)))
    assert sent.suppressed == {ANN}


def test_an_unsubscription_without_a_token_is_for_a_person(sent: Sent) -> None:
    reader = Reader(sent.ledger.returns(), Rules(), "leave@example.com")
    account = reader.read(Letters(letter(sender=ANN, to="leave@example.com")), NOW)
    assert account.others == {Other.NOT_OURS: 1}
    assert sent.suppressed == set()


def test_an_unsubscription_from_an_address_that_was_not_mailed(sent: Sent) -> None:
    """Ann went alone, so she is meant; of Ben and his boss nobody can tell."""
    account = sent.read(
        Letters(
            letter(sender="ann@private.example", to=sent.to(ANN, "unsubscribe")),
            letter(sender="who@private.example", to=sent.to(BEN, "unsubscribe"), identity="<b@x>"),
        )
    )
    assert sent.suppressed == {ANN}
    assert len(account.fates[Fate.UNNAMED]) == 1


def test_what_is_kept_names_nobody(sent: Sent) -> None:
    """A reason outlives whom it quotes: who is forgotten later must not stand in it."""
    said = "smtp; 550 5.1.1 <new@elsewhere.example>: ask other@elsewhere.example"
    sent.read(Letters(bounce(block("5.1.1", said, final="new@elsewhere.example"), to=sent.to(ANN))))
    [entry] = sent.ledger.suppressions
    assert entry.reason == "bounced: 5.1.1 550 5.1.1 …@…: ask …@…"


# Forgeries: whatever they say, and whoever they name, nobody is suppressed.


def forgeries(sent: Sent, other: Sent) -> dict[str, bytes]:
    token, test = sent.token(ANN), sent.tokens.test_bounce(ANN)
    ours, theirs = sent.to(ANN), other.to(ANN)
    plain = "bounces@example.com"
    guesses = {
        "no token": plain,
        "the token cut": f"bounces+{token[:-1]}@example.com",
        "the token and more": f"bounces+{token}0@example.com",
        "the token and a letter": f"bounces+{token}g@example.com",
        "the token twice in one word": f"bounces+{token}{token}@example.com",
        "zeros": f"bounces+{'0' * 20}@example.com",
        "another row's name": f"bounces+{ANN}",
        "the key": f"bounces+{ANN.replace('@', '=')}@example.com",
        "a token of a test": f"bounces+{test}@example.com",
        "a token of another ledger": theirs,
        "wildcards": "bounces+%@example.com",
        "SQL": "bounces+' OR 1=1 --@example.com",
        "the Message-ID's digits": f"bounces+{sent.id(ANN)[1:21]}@example.com",
    }
    mails = {
        f"bounce, {name}": bounce(FAILED, to=to, returned=other.id(ANN), identity=f"<{n}@f>")
        for n, (name, to) in enumerate(guesses.items())
    }
    mails |= {
        f"unsubscription, {name}": letter(sender=ANN, to=to.replace("bounces", "unsubscribe"))
        for name, to in guesses.items()
    }
    return mails | {
        "complaint of another message": complaint("abuse", ANN, returned=other.id(ANN)),
        "complaint without a message": complaint("abuse", ANN, returned=""),
        "complaint of part of the Message-ID": complaint("abuse", ANN, returned=sent.id(ANN)[:-2] + ">"),
        "complaint whose own Message-ID is ours": complaint(
            "abuse", ANN, returned="<x@y>", identity=sent.id(ANN)
        ),
        "complaint of fraud": complaint("fraud", ANN, returned=sent.id(ANN)),
        "token in the subject": letter(to=plain, subject=f"Undelivered: {ours}"),
        "token in the text": letter(to=plain, text=ours),
        "token in other fields": letter(f"Cc: {ours}", f"References: <{ours}>", to=plain),
        "bounce with the token in what it says": bounce(
            block("5.1.1", f"smtp; 550 {ours}"), to=plain, returned="<x@y>"
        ),
        "bounce with the token as its recipient": bounce(block(final=ours), to=plain, returned="<x@y>"),
        "bounce with the token in From": bounce(
            FAILED, to=plain, returned="<x@y>", header=f"From: {ours}\nReply-To: {ours}"
        ),
        "bounce whose own Message-ID is ours": bounce(
            FAILED, to=plain, returned="<x@y>", identity=sent.id(ANN)
        ),
        "bounce with our Message-ID in In-Reply-To": bounce(
            FAILED, to=plain, returned="<x@y>", header=f"In-Reply-To: {sent.id(ANN)}"
        ),
        "bounce of a row with a copy that names neither": bounce(block(final=ANN), to=sent.to(BEN)),
        "delay": bounce(block(Action="delayed"), to=ours),
        "relayed": bounce(block(Action="relayed"), to=ours),
        "bounce by our policy": bounce(block("5.7.1"), to=ours),
        "full mailbox": bounce(block("5.2.2"), to=ours),
        "bounce in prose": letter(
            sender="MAILER-DAEMON@mx.example.net",
            to=ours,
            text=f"<{ANN}>\n   ----- The following addresses had permanent fatal errors -----\n{ANN}\n",
        ),
        "letter of a person to the return path": letter(sender=ANN, to=ours, subject="unsubscribe"),
        "vacation notice": letter("Auto-Submitted: auto-replied", sender=ANN, to=ours, subject="unsubscribe"),
        "attached bounce": lines(f"To: {plain}", "Content-Type: multipart/mixed; boundary=m", "", "--m")
        + b"Content-Type: message/rfc822\r\n\r\n"
        + bounce(FAILED, to=ours)
        + b"\r\n--m--\r\n",
    }


def test_no_forgery_suppresses_anybody(sent: Sent, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Sent(tmp_path / "other" / "ledger.db")
    mails = forgeries(sent, other)
    other.ledger.close()
    assert len(mails) >= 30
    for name, mail in mails.items():
        sent.read(Letters(mail))
        assert sent.suppressed == set(), name


def test_a_token_of_another_campaign_of_the_ledger_matches_nothing(sent: Sent) -> None:
    other = Sent(sqlite(sent.ledger).path or Path(), "autumn")
    try:
        account = sent.read(Letters(bounce(FAILED, to=other.to(ANN), returned=other.id(ANN))))
        assert account.others == {Other.NOT_OURS: 1}
        assert sent.suppressed == set()
    finally:
        other.ledger.close()


def test_who_has_a_token_can_name_nobody_else(sent: Sent) -> None:
    """Ann has her own token. A bounce that she writes with it is about her, whomever it names."""
    sent.read(Letters(bounce(block(final=BEN), block(final=BOSS), to=sent.to(ANN))))
    assert sent.suppressed == {ANN}


# Where mail lies


def maildir(folder: Path, **files: bytes) -> Path:
    for name in ("new", "cur", "tmp"):
        (folder / name).mkdir(parents=True)
    for name, mail in files.items():
        (folder / "new" / name).write_bytes(mail)
    return folder


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_maildir_is_left_as_it_is(sent: Sent, tmp_path: Path) -> None:
    folder = maildir(tmp_path / "mail", a=bounce(FAILED, to=sent.to(ANN)), b=letter())
    (folder / "cur" / "c:2,S").write_bytes(letter())
    (folder / "tmp" / "half").write_bytes(letter())
    (folder / "new" / ".hidden").write_bytes(letter())
    os.mkfifo(folder / "new" / "pipe")
    (folder / "new" / "link").symlink_to(folder / "gone")
    before = snapshot(folder)
    assert sent.read(Maildir(folder)).mails == 3
    assert snapshot(folder) == before
    assert sent.suppressed == {ANN}


def test_what_is_no_maildir(sent: Sent, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no Maildir"):
        sent.read(Maildir(tmp_path))


def test_an_mbox_is_read_and_never_written(sent: Sent, tmp_path: Path) -> None:
    first = bounce(FAILED, to=sent.to(ANN)).replace(b"\r\n", b"\n")
    second = letter(text="\n>From here\n\n  From there\nFrom nowhere").replace(b"\r\n", b"\n")
    file = tmp_path / "mbox"
    file.write_bytes(
        b"".join(b"From x@y.example Sat Nov 28 10:00:00 2026\n" + m + b"\n" for m in (first, second))
    )
    before = file.read_bytes(), file.stat().st_mtime_ns
    assert [one.octets for one in Mbox(file).letters()] == [first + b"\n", second + b"\n"]
    assert sent.read(Mbox(file)).mails == 2
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before
    with pytest.raises(UserError, match="cannot be read"):
        list(Mbox(tmp_path / "gone").letters())


@pytest.mark.parametrize(
    ("before", "mails"), [("", 1), ("\n\n", 1), ("# exported\n", 2), ("Subject: cut\n\nHello\n", 2)]
)
def test_what_stands_before_the_first_mail_is_read_too(tmp_path: Path, before: str, mails: int) -> None:
    file = tmp_path / "mbox"
    file.write_text(f"{before}From x@y.example Sat Nov 28 10:00:00 2026\nSubject: a\n\nHi\n\n")
    found = [one.octets.decode() for one in Mbox(file).letters()]
    assert found[-1] == "Subject: a\n\nHi\n\n"
    assert found[:-1] == [before] * (mails - 1)


def test_a_file_without_mails_is_no_mbox(tmp_path: Path) -> None:
    """An mbox that is empty is one: nothing came back."""
    file = tmp_path / "list.csv"
    file.write_text("email\nann@example.com\n")
    with pytest.raises(UserError, match=r"is not an mbox: in an mbox, each mail begins with a line `From"):
        list(Mbox(file).letters())

    file.write_text("")
    assert list(Mbox(file).letters()) == []


def test_no_mailbox_reads_more_of_a_mail_than_is_looked_at(tmp_path: Path) -> None:
    class Endless(io.RawIOBase):
        """200 MB, of which no more than asked for is ever made."""

        left = 200_000_000

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            assert 0 < size <= MOST
            size = min(size, self.left)
            self.left -= size
            return b"x" * size

    stream = Endless()
    [piped] = Piped(stream, "").letters()  # type: ignore[arg-type]
    assert len(piped.octets) == MOST
    assert stream.left == 0  # the server's pipe does not break
    folder = maildir(tmp_path / "mail")
    with (folder / "new" / "big").open("wb") as file:
        file.write(b"From x\n\n")
        file.truncate(100_000_000)
    [found] = Maildir(folder).letters()
    assert len(found.octets) == MOST
    [found] = Mbox(folder / "new" / "big").letters()
    assert len(found.octets) == MOST
