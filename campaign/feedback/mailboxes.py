"""Read returned mail on this machine: a Maildir, an mbox file, or standard input.

They are read and never written; a mail is recorded once, however often it is read. At most `mime.MOST`
octets of a mail are in memory.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from campaign.errors import Problem, UserError
from campaign.feedback.mime import MOST
from campaign.wording import shown

_LINE = 1 << 16  # octets of a line that are read at a time


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail: its first octets, its place, and the envelope's recipient if that is known."""

    octets: bytes
    where: str
    recipient: str = ""


class Mailbox(Protocol):
    """A place with returned mail."""

    def letters(self) -> Iterator[Letter]:
        """Yield each mail. Raises UserError, ConnectFailed."""

    def understood(self, letter: Letter) -> None:
        """Called when a mail has been recorded: it need not be read again."""


class _ReadOnly:
    def understood(self, letter: Letter) -> None:
        """Leave it as it is."""


class Maildir(_ReadOnly):
    """A folder with a file for each mail, in `new` and `cur` (cr.yp.to/proto/maildir.html)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def letters(self) -> Iterator[Letter]:
        """Yield each mail, those in `cur` first."""
        if not (self._folder / "new").is_dir():
            raise UserError(Problem("is no Maildir: it has no folder `new`", shown(self._folder)))
        for folder in (self._folder / "cur", self._folder / "new"):
            for file in _files(folder):
                with suppress(FileNotFoundError):  # another program may move it
                    if stat.S_ISREG(file.lstat().st_mode):  # reading a pipe would wait
                        with _opened(file) as mail:
                            octets = mail.read(MOST)
                        yield Letter(octets, shown(file))


class Mbox(_ReadOnly):
    """A file of mails, each after a line that begins with `From ` (RFC 4155)."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def letters(self) -> Iterator[Letter]:
        """Yield each mail. Raises UserError if the file is not an mbox."""
        try:
            opened = _opened(self._file)
        except FileNotFoundError as error:
            raise _unreadable(self._file, error) from None
        with opened as file:
            number = 0
            for number, octets in enumerate(_mails(file), 1):
                yield Letter(octets, f"{shown(self._file)}, mail {number}")
            if not number and file.tell():
                what = "is not an mbox: in an mbox, each mail begins with a line `From …`"
                raise UserError(Problem(what, shown(self._file)))


class Piped(_ReadOnly):
    """One mail on standard input, as a server's alias passes it; `recipient` is the envelope's."""

    def __init__(self, stream: BinaryIO, recipient: str) -> None:
        self._stream = stream
        self._recipient = recipient

    def letters(self) -> Iterator[Letter]:
        """Yield the mail. All of it is read, because a broken pipe is a failure to the server.

        Raises UserError if there is no mail: the alias is wrong, and success would lose the mail.
        """
        octets = self._stream.read(MOST)
        if not octets:
            raise UserError("standard input is empty, but a mail is expected")
        while self._stream.read(_LINE):
            pass
        yield Letter(octets, "the standard input", self._recipient)


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(file for file in folder.iterdir() if not file.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(folder, error) from None


def _opened(file: Path) -> BinaryIO:
    """Open a file. Raises FileNotFoundError, and UserError for everything else."""
    try:
        return file.open("rb")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unreadable(file, error) from None


def _unreadable(path: Path, error: OSError) -> UserError:
    return UserError(Problem(f"cannot be read: {error.strerror}", shown(path)))


def _mails(file: BinaryIO) -> Iterator[bytes]:
    """Yield the first octets of each mail in an mbox, and of any text before the first `From ` line."""
    mail = bytearray()
    is_mbox = False
    at_start, behind_blank = True, True  # of a line; of the file, or after a blank line
    while line := file.readline(_LINE):
        if at_start and (behind_blank or not is_mbox) and line.startswith(b"From "):
            if is_mbox or mail.strip():
                yield bytes(mail)
            mail, is_mbox = bytearray(), True
        elif len(mail) < MOST:
            mail += line
        behind_blank = at_start and line in (b"\n", b"\r\n")
        at_start = line.endswith(b"\n")
    if is_mbox:
        yield bytes(mail[:MOST])
