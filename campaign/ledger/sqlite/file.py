"""The ledger's file: its header, and the disk space reserved for a run's last results."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from campaign.errors import LedgerFull, Problem, UserError
from campaign.ledger.sqlite.schema import APPLICATION_ID, VERSION
from campaign.wording import shown

_MAGIC = b"SQLite format 3\0"
_HEADER = 100  # octets; sqlite.org/fileformat2.html, 1.3
# Octets; enough for the last results of every connection, each in a commit of its own.
_RESERVE = 4 * 1024 * 1024


def check_header(path: Path) -> int:
    """Return the version of the schema. Raises UserError if the file is not a ledger, or a newer one.

    The header is read without SQLite, which on closing would copy another program's WAL into its file.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # reading a pipe would block
            what = "this is not a regular file, so not a ledger; it was not changed"
            raise UserError(Problem(what, shown(path)))
        with path.open("rb") as file:
            header = file.read(_HEADER)
    except OSError as error:
        raise UserError(Problem(f"the ledger cannot be read: {error.strerror}", shown(path))) from None
    application, version = (int.from_bytes(header[at : at + 4], "big") for at in (68, 60))
    if not header.startswith(_MAGIC) or application != APPLICATION_ID:
        what = "this file is not a ledger of campaign; it was not changed"
        raise UserError(Problem(what if header else f"{what} (it is empty)", shown(path)))
    refuse_newer(version, path)
    return version


def refuse_newer(version: int, path: Path) -> None:
    """Raise UserError if the schema is newer than this program."""
    if version > VERSION:
        what = f"this ledger was written by a newer release (schema {version}; this one knows {VERSION})"
        raise UserError(Problem(f"{what}; upgrade", shown(path)))


def disk_full(path: Path | None, why: str) -> LedgerFull:
    """Return the error for a ledger that cannot be written, because of `why`."""
    what = f"the ledger cannot be written: {why}. Make room on the disk, then send again"
    return LedgerFull(Problem(what, shown(path) if path else None))


def sync_folder(folder: Path) -> None:
    """Make a new file name in a folder durable."""
    with suppress(OSError):  # not every system can sync folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Reserve:
    """A file beside the ledger that is deleted when the disk is full.

    Its space is then used for the results of messages whose replies are still due.
    """

    def __init__(self, ledger: Path) -> None:
        self._path = ledger.with_name(f"{ledger.name}-reserve")

    def keep(self) -> None:
        """Create the file if it is missing. Raises OSError if there is no space: then nothing may be sent."""
        if self._path.exists() and self._path.stat().st_size >= _RESERVE:
            return
        descriptor = os.open(self._path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(os.urandom(_RESERVE))  # random octets cannot be compressed or stored sparsely
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            self.give_back()
            raise

    def give_back(self) -> None:
        """Delete the file."""
        with suppress(OSError):
            self._path.unlink()
