"""A ledger's file under the name that it is made with, and what is left of it where a process was killed.

Nobody opens a file of such a name. Who makes one has the folder locked (flock), shared with others who do;
whoever finds it free removes what the dead have left.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """Give a name under which to make the file at `path`. Afterwards nothing has that name any more."""
    name = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    with _shared(path):
        try:
            yield name
        finally:
            name.unlink(missing_ok=True)


def drop_second_name(path: Path) -> None:
    """Remove the name under which this file was made, if that was broken off."""
    with suppress(OSError):
        if path.stat().st_nlink > 1:
            for other in _left(path):
                if other.samefile(path):
                    other.unlink()


@contextmanager
def _shared(path: Path) -> Iterator[None]:
    if sys.platform == "win32":
        yield  # what a killed process leaves there stays
        return
    try:
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError:  # what is wrong with the folder is said when the file is made
        yield
        return
    try:
        with suppress(OSError):  # others make it, or this file system has no locks: then nothing is removed
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for left in _left(path):
                left.unlink(missing_ok=True)
        with suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_SH)
        yield
    finally:
        os.close(folder)


def _left(path: Path) -> list[Path]:
    """Return the files beside `path` whose names are those of one that is made."""
    its_name = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}(?:-journal|-wal|-shm)?")
    return [file for file in path.parent.iterdir() if its_name.fullmatch(file.name)]
