"""Read a mailbox on an IMAP server (RFC 3501), and move the mails that were processed to another folder.

It uses MOVE if the server has it (RFC 6851), otherwise COPY and UID EXPUNGE (UIDPLUS, RFC 4315). Without
both, a keyword marks the mail as read: a plain EXPUNGE would remove mails that other people have marked as
deleted. Nothing else changes: mail is fetched without marking it as seen.
"""

from __future__ import annotations

import base64
import imaplib
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from campaign.errors import ConnectFailed
from campaign.feedback.mailboxes import Letter
from campaign.feedback.mime import MOST
from campaign.smtp.auth import Login, Mechanism, messages

KEYWORD = "CampaignProcessed"
_TIMEOUT = 60.0  # seconds for each answer
# Messages that one command lists or moves: servers accept lines of 8000 octets.
_AT_ONCE = 500
# Mails, and octets of them, that one command fetches: a line 80 ms away is waited for once, not fifty times.
_MAILS, _OCTETS = 50, 1 << 20
_NONSENSE = (ValueError, OverflowError, MemoryError)  # raised for octets in no charset, or a literal of 90 GB
_UID = re.compile(rb"\bUID ([0-9]+)")
_FLAGS = re.compile(rb"\bFLAGS \(([^)]*)\)")
_SIZE = re.compile(rb"\bRFC822\.SIZE ([0-9]{1,12})\b")


@dataclass(frozen=True, slots=True)
class Account:
    """The server and the login, the folder to read, and the folder that processed mail is moved to (`done`).

    Without a mechanism in the login, it is PLAIN if the server offers it, otherwise the command LOGIN.
    """

    host: str
    port: int
    login: Login
    folder: str = "INBOX"
    done: str = "Processed"


class ImapFolder:
    """A folder on an IMAP server. With `read_only` nothing is moved. Every method may raise ConnectFailed."""

    def __init__(self, account: Account, tls: ssl.SSLContext, *, read_only: bool) -> None:
        self._account = account
        self._tls = tls
        self._read_only = read_only
        self._connection: imaplib.IMAP4_SSL | None = None
        self._capabilities: set[str] = set()
        self._understood: list[str] = []  # UIDs of mails that are to be moved

    def letters(self) -> Iterator[Letter]:
        """Log in, and yield each mail of the folder that has not been processed."""
        with self._translated():
            connection = self._connection = self._opened()
        try:
            for uids in _batches(self._listed(connection)):
                with self._translated():
                    found = self._fetched(connection, uids)
                for uid in uids:
                    if uid in found:  # else it is gone
                        yield Letter(found[uid], f"{self._account.folder}, UID {uid}")
            self._put_away(connection)
        finally:
            self._connection = None
            _end(connection)

    def understood(self, letter: Letter) -> None:
        """Move or mark a mail: together with others, at the latest when all have been read."""
        if self._connection is None or self._read_only:
            return
        self._understood.append(letter.where.rpartition(" ")[2])
        if len(self._understood) >= _AT_ONCE:
            self._put_away(self._connection)

    def _put_away(self, connection: imaplib.IMAP4_SSL) -> None:
        """Move the processed mails. If we are killed before, they are read again, and still count once."""
        uids, self._understood = ",".join(self._understood), []
        if not uids:
            return
        with self._translated():
            if "MOVE" in self._capabilities:
                self._to_done(connection, "MOVE", uids)
            elif "UIDPLUS" in self._capabilities:
                self._to_done(connection, "COPY", uids)
                self._ask(connection, "STORE", uids, "+FLAGS.SILENT", "(\\Deleted)")
                self._ask(connection, "EXPUNGE", uids)
            else:
                self._ask(connection, "STORE", uids, "+FLAGS.SILENT", f"({KEYWORD})")

    def _opened(self) -> imaplib.IMAP4_SSL:
        account = self._account
        connection = imaplib.IMAP4_SSL(account.host, account.port, ssl_context=self._tls, timeout=_TIMEOUT)
        try:
            self._log_in(connection)
            _, found = connection.capability()
            self._capabilities = set((found[0] or b"").decode("ascii", "replace").upper().split())
            answer, said = connection.select(_named(account.folder), readonly=self._read_only)
            if answer != "OK":
                raise ConnectFailed(f"{account.folder!r} cannot be opened: {_words(said)}", permanent=True)
        except BaseException:
            _end(connection)
            raise
        return connection

    def _log_in(self, connection: imaplib.IMAP4_SSL) -> None:
        login, offered = self._account.login, connection.capabilities
        # PLAIN accepts passwords that are not ASCII.
        usual = Mechanism.PLAIN if "AUTH=PLAIN" in offered else Mechanism.LOGIN
        mechanism = login.mechanism or usual
        what = ""
        if mechanism is Mechanism.LOGIN and not (login.username + login.secret).isascii():
            what = "its LOGIN takes ASCII only, and there is no AUTH=PLAIN for a name or password like this"
        elif mechanism is not Mechanism.LOGIN and f"AUTH={mechanism.upper()}" not in offered:
            what = f"the IMAP server offers no login by {mechanism.upper()}"
        if what:
            raise ConnectFailed(f"{self._account.host}:{self._account.port}: {what}", permanent=True)
        if mechanism is Mechanism.LOGIN:
            connection.login(login.username, login.secret)
        else:
            said = iter(messages(login, mechanism))
            connection.authenticate(mechanism.upper(), lambda challenge: next(said, None))

    def _listed(self, connection: imaplib.IMAP4_SSL) -> dict[str, int]:
        """Return the UIDs of the mails to read, each with how many octets of it are read.

        Sequence numbers would shift when a mail is moved.
        """
        with self._translated():
            _, said = connection.response("EXISTS")
            count = int(said[-1] or 0) if said else 0
            listed: dict[str, int] = {}
            for first in range(1, count + 1, _AT_ONCE):
                last = min(count, first + _AT_ONCE - 1)
                answer, lines = connection.fetch(f"{first}:{last}", "(UID FLAGS RFC822.SIZE)")
                if answer != "OK":
                    what = f"the mails in {self._account.folder!r}"
                    raise ConnectFailed(f"the IMAP server refuses to list {what}", permanent=True)
                told = [line for line in lines if isinstance(line, bytes)]
                listed |= dict(filter(None, map(_unread, told)))
                if not told:
                    break  # they have gone, or never existed: the count is only what the server says
            return listed

    def _fetched(self, connection: imaplib.IMAP4_SSL, uids: list[str]) -> dict[str, bytes]:
        """Return the first octets of mails by UID: b"" for one that the server refuses; gone ones lack."""
        answer, said = connection.uid("FETCH", ",".join(uids), f"(BODY.PEEK[]<0.{MOST}>)")
        alone = len(uids) == 1
        if alone and answer != "OK":
            return {uids[0]: b""}
        found: dict[str, bytes] = {}
        unclear = answer != "OK"
        for part, after in zip(said, [*said[1:], b""], strict=True):
            if isinstance(part, tuple) and b"BODY[]" in part[0].upper():
                named = _UID.search(part[0]) or (_UID.search(after) if isinstance(after, bytes) else None)
                uid = named[1].decode() if named is not None else uids[0] if alone else ""
                unclear |= not uid
                if uid in uids:  # others may come unrequested (RFC 3501 7.4.2)
                    found.setdefault(uid, part[1])
        if unclear:  # one mail that the server refuses may have kept back the others
            for uid in uids:
                found |= self._fetched(connection, [uid]) if uid not in found else {}
        return found

    def _to_done(self, connection: imaplib.IMAP4_SSL, command: str, uids: str) -> None:
        folder = _named(self._account.done)
        answer, _ = connection.uid(command, uids, folder)
        if answer != "OK":  # there is no such folder yet
            connection.create(folder)
            self._ask(connection, command, uids, folder)

    def _ask(self, connection: imaplib.IMAP4_SSL, command: str, *arguments: str) -> None:
        answer, said = connection.uid(command, *arguments)
        if answer != "OK":
            what = f"{command} of mails to {self._account.done!r}: {_words(said)}"
            raise ConnectFailed(f"the IMAP server refuses {what}", permanent=True)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        where = f"{self._account.host}:{self._account.port}"
        try:
            yield
        except imaplib.IMAP4.readonly as error:
            what = f"{self._account.folder!r} can only be read here, and understood mail is moved out of it"
            raise ConnectFailed(f"{where}: {what}", permanent=True) from error
        except imaplib.IMAP4.abort as error:
            raise ConnectFailed(f"{where}: the connection ended: {error}") from error
        except imaplib.IMAP4.error as error:
            raise ConnectFailed(f"{where}: the IMAP server refuses: {error}", permanent=True) from error
        except ssl.SSLCertVerificationError as error:
            what = f"its certificate does not verify: {error.verify_message}"
            raise ConnectFailed(f"{where}: {what}", permanent=True) from error
        except OSError as error:
            why = error.strerror or str(error)
            if isinstance(error, ssl.SSLError) and error.reason == "WRONG_VERSION_NUMBER":
                why = "it does not speak TLS from the start, as servers do at port 993 (this is no STARTTLS)"
            raise ConnectFailed(f"{where}: {why}") from error
        except _NONSENSE as error:
            what = f"the IMAP server says what no mailbox holds: {str(error) or 'more than fits into memory'}"
            raise ConnectFailed(f"{where}: {what}", permanent=True) from error


def _end(connection: imaplib.IMAP4_SSL) -> None:
    """Log out, and close the socket even if the server answers something unexpected."""
    for goodbye in (connection.logout, connection.shutdown):
        with suppress(imaplib.IMAP4.error, OSError, *_NONSENSE):
            goodbye()


def _unread(line: bytes) -> tuple[str, int] | None:
    """Return the UID in a response and how much of the mail is read; None if it was processed or deleted."""
    uid, flags, size = _UID.search(line), _FLAGS.search(line), _SIZE.search(line)
    marks = flags[1].lower().split() if flags is not None else []
    if uid is None or KEYWORD.lower().encode() in marks or b"\\deleted" in marks:
        return None
    return uid[1].decode(), min(MOST, int(size[1])) if size is not None else MOST


def _batches(listed: dict[str, int]) -> Iterator[list[str]]:
    """Yield the UIDs in their order, as many at once as one command fetches."""
    uids: list[str] = []
    octets = 0
    for uid, size in listed.items():
        if uids and (len(uids) == _MAILS or octets + size > _OCTETS):
            yield uids
            uids, octets = [], 0
        uids.append(uid)
        octets += size
    if uids:
        yield uids


def _named(folder: str) -> str:
    """Return a folder's name as a quoted string, in IMAP's form of UTF-7 (RFC 3501 5.1.3)."""
    encoded = re.sub(r"[^\x20-\x7e]+|&", lambda match: _shifted(match[0]), folder)
    return '"' + re.sub(r'(["\\])', r"\\\1", encoded) + '"'


def _shifted(text: str) -> str:
    octets = b"" if text == "&" else base64.b64encode(text.encode("utf-16-be")).rstrip(b"=")
    return f"&{octets.decode().replace('/', ',')}-"


def _words(said: list[bytes | None] | list[bytes]) -> str:
    return (said[-1] or b"").decode("utf-8", "replace") if said else ""
