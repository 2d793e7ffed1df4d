"""Where a ledger's file is. It must have one name only, its WAL beside it, and stay the file that was opened.

SQLite finds the WAL by the file's name. If a file had a second name (a hard link, or a file mounted into
a container), two processes would each use a WAL of their own, and neither would see the other's messages.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from campaign.errors import Problem, UserError
from campaign.ledger.sqlite.unfinished import drop_second_name
from campaign.wording import shown

_OCTAL = r"\\([0-7]{3})"


File = tuple[int, int]
"""Device and inode, which identify a file whatever its name is."""


@dataclass(frozen=True, slots=True)
class Place:
    """A ledger's path, and the files that were there when it was opened.

    `wal_changed_at` is when the WAL was last changed, UTC ns; None if there was none, or an empty one.
    `written_at` is when the file was last written. `wal` is the WAL that this process keeps open.
    """

    path: Path
    file: File
    wal_changed_at: int | None
    written_at: int
    wal: File | None = None

    @classmethod
    def of(cls, path: Path) -> Place:
        """Return the place of the file at `path`. Raises UserError if the file has another name too."""
        drop_second_name(path)
        found = path.stat()
        why = ""
        if found.st_nlink > 1:
            why = "has a second name (a hard link)"
        elif _is_mounted(path):
            why = "is itself a mount point: mount its folder instead"
        if why:
            what = f"the ledger {why}; SQLite would keep two journals, and people would be mailed twice"
            raise UserError(Problem(what, shown(path)))
        return cls(path, (found.st_dev, found.st_ino), _wal_changed_at(path), found.st_mtime_ns)

    def with_wal(self) -> Place:
        """Return the place with the WAL that is there now; it stays there while a connection is open."""
        return replace(self, wal=_file(wal_of(self.path)))

    def is_kept(self) -> bool:
        """Whether the path still leads to the file that was opened, and to its WAL."""
        # Checked before each commit, so fast: if the path itself is the file, no link has to be resolved.
        try:
            found = os.lstat(name := str(self.path))
            if (found.st_dev, found.st_ino) == self.file:
                return self.wal is None or _file(f"{name}-wal") == self.wal
        except OSError:
            return False
        return _file(self.path) == self.file and (self.wal is None or _file(wal_of(self.path)) == self.wal)


def wal_of(path: Path) -> Path:
    """Return the path of a ledger's WAL. Links are followed, as SQLite does."""
    return Path(f"{os.path.realpath(path)}-wal")


def has_wal(path: Path) -> bool:
    """Whether there is a WAL beside the ledger that is not empty."""
    return _wal_changed_at(path) is not None


def _wal_changed_at(path: Path) -> int | None:
    try:
        found = wal_of(path).stat()
    except OSError:
        return None
    return found.st_ctime_ns if found.st_size else None


def _file(path: Path | str) -> File | None:
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _is_mounted(path: Path) -> bool:
    """Whether a file is mounted at `path` (proc(5), mountinfo: field 5, blanks in octal)."""
    place = os.path.realpath(path)
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
    except OSError:
        return False  # not Linux
    points = (line.split(" ")[4] for line in mounts.splitlines())
    return any(re.sub(_OCTAL, lambda octal: chr(int(octal[1], 8)), point) == place for point in points)


def refuse_orphan(path: Path) -> None:
    """Raise UserError if there is a WAL without its file: SQLite would read it into a new file."""
    wal = wal_of(path)
    if wal.exists():
        what = (
            f"there is no ledger here, but its {wal.name} is: the ledger was moved or deleted without it. Put"
            f" the ledger back beside it; if it is gone for good, delete {wal.name} too"
        )
        raise UserError(Problem(what, shown(path)))
