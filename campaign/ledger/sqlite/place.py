"""Where a ledger's file is: under one name, with its WAL beside it, and still the file that was opened.

SQLite finds the WAL by the file's name. Under a second name (a hard link, a file that is mounted into a
container) two processes would each have a WAL of their own, and neither would see the other's messages.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from campaign.errors import Problem, UserError
from campaign.wording import shown

_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Place:
    """A path and the file that was there when the ledger was opened."""

    path: Path
    device: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> Place:
        """Return where the file at `path` is. Raises UserError if it has another name."""
        _drop_unfinished(path)
        found = path.stat()
        why = ""
        if found.st_nlink > 1:
            why = "has a second name (a hard link)"
        elif _is_mounted(path):
            why = "is itself a mount point: mount its folder instead"
        if why:
            what = f"the ledger {why}; SQLite would keep two journals, and people would be mailed twice"
            raise UserError(Problem(what, shown(path)))
        return cls(path, found.st_dev, found.st_ino)

    def is_kept(self) -> bool:
        """Whether the path still leads to the file that was opened."""
        try:
            found = self.path.stat()
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == (self.device, self.inode)


def has_wal(path: Path) -> bool:
    """Whether a WAL with something in it is beside the ledger; links are followed, as SQLite does."""
    try:
        return Path(f"{os.path.realpath(path)}-wal").stat().st_size > 0
    except OSError:
        return False


def _drop_unfinished(path: Path) -> None:
    """Remove the name under which this file was made, if that was broken off (`opening.create`)."""
    unfinished = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}")
    with suppress(OSError):
        if path.stat().st_nlink > 1:
            for other in path.parent.iterdir():
                if unfinished.fullmatch(other.name) and other.samefile(path):
                    other.unlink()


def _is_mounted(path: Path) -> bool:
    """Whether a file is mounted at `path`; proc(5), mountinfo: the fifth field, blanks in octal."""
    place = os.path.realpath(path)
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
    except OSError:
        return False  # no Linux
    points = (line.split(" ")[4] for line in mounts.splitlines())
    return any(_OCTAL.sub(lambda octal: chr(int(octal[1], 8)), point) == place for point in points)
