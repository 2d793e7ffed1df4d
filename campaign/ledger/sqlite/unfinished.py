"""Creates a ledger's file under a temporary name, and removes what a killed process left under such a name.

Nobody opens a file with such a name. A process that creates one holds a shared lock on the folder (flock).
A process that gets an exclusive lock instead removes leftovers: nobody else is creating a file.
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
    """Yield a temporary name for the file that will be at `path`; nothing has that name afterwards."""
    name = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    with _shared(path):
        try:
            yield name
        finally:
            name.unlink(missing_ok=True)


def drop_second_name(path: Path) -> None:
    """Remove the temporary name of the file at `path`, if its creator was killed before removing it."""
    with suppress(OSError):
        if path.stat().st_nlink > 1:
            for other in _left(path):
                if other.samefile(path):
                    other.unlink()


@contextmanager
def _shared(path: Path) -> Iterator[None]:
    if sys.platform == "win32":
        yield  # leftovers stay
        return
    try:
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError:  # the error is reported when the file is created
        yield
        return
    try:
        with suppress(OSError):  # others are creating one, or there are no locks here
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for left in _left(path):
                left.unlink(missing_ok=True)
        with suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_SH)
        yield
    finally:
        os.close(folder)


def _left(path: Path) -> list[Path]:
    """Return the files beside `path` whose names are temporary names for it."""
    its_name = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}(?:-journal|-wal|-shm)?")
    return [file for file in path.parent.iterdir() if its_name.fullmatch(file.name)]
