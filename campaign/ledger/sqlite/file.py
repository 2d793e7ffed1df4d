"""The ledger as a file: what its first bytes say, and the room that is kept for its last words."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from campaign.errors import Problem, UserError
from campaign.ledger.sqlite.schema import APPLICATION_ID, VERSION
from campaign.wording import shown

_MAGIC = b"SQLite format 3\0"
_HEADER = 100  # octets; sqlite.org/fileformat2.html, 1.3
# Room for the results of every connection, each in a commit of its own.
_RESERVE = 4 * 1024 * 1024


def check_header(path: Path) -> None:
    """Raise UserError where the file is no ledger of ours, or a newer one.

    SQLite is not asked: it would fold another program's WAL into its file on the way out.
    """
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER)
    except OSError as error:
        raise UserError(Problem(f"the ledger cannot be read: {error.strerror}", shown(path))) from None
    application, version = (int.from_bytes(header[at : at + 4], "big") for at in (68, 60))
    if not header.startswith(_MAGIC) or application != APPLICATION_ID:
        what = "this file is no ledger of campaign; it was left as it is"
        raise UserError(Problem(what if header else f"{what} (it is empty)", shown(path)))
    refuse_newer(version, path)


def refuse_newer(version: int, path: Path) -> None:
    """Raise UserError where the tables are of a later version than we know."""
    if version > VERSION:
        what = f"this ledger was written by a newer campaign (schema {version}, known is {VERSION}); upgrade"
        raise UserError(Problem(what, shown(path)))


class Reserve:
    """A file beside the ledger that gives its room back when the disk is full.

    So that what has been answered can be recorded, when nothing else can be written.
    """

    def __init__(self, ledger: Path) -> None:
        self._path = ledger.with_name(f"{ledger.name}-reserve")

    def keep(self) -> None:
        """Take the room. Raises OSError where there is none: then there is none to send either."""
        if self._path.exists() and self._path.stat().st_size >= _RESERVE:
            return
        descriptor = os.open(self._path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(os.urandom(_RESERVE))  # which no file system stores in less room
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            self.give_back()
            raise

    def give_back(self) -> None:
        """Give the room back."""
        with suppress(OSError):
            self._path.unlink()
