"""Makes a worker's private temporary folder, and removes those of workers that died.

A killed worker leaves its folder behind, with people's letters in it; the next worker of the same user
removes it. A lock (flock) on the folder shows whether its owner lives, because it ends with the process. A
process id would not do: another process may have it now, or one in a container that shares the folder of
temporary files.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from campaign.errors import UserError

if sys.platform != "win32":
    import fcntl

_PREFIX = "campaign-worker-"


@contextmanager
def private_folder() -> Iterator[Path]:
    """Make a folder that exists while the context is open. Raises UserError."""
    try:
        folder, lock = _make_folder()
    except OSError as error:
        raise unwritable(error) from error
    try:
        yield folder.resolve()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def remove_dead() -> None:
    """Remove the folders of this user's dead workers."""
    if sys.platform == "win32":  # no flock: the folders stay
        return
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if folder.lstat().st_uid == os.geteuid():
                lock = _lock(folder, wait=False)
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


def unwritable(error: OSError) -> UserError:
    """Return the error for a file that could not be written into the folder."""
    what = f"temporary files cannot be written: {error.strerror}"
    return UserError(f"{what}. Make room on the disk, or name another folder in TMPDIR")


def _make_folder() -> tuple[Path, int | None]:
    """Make a folder; return it, and the descriptor that locks it. Raises OSError."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        if sys.platform == "win32":
            return folder, None
        with suppress(FileNotFoundError):  # another worker removed it before it was locked
            return folder, _lock(folder, wait=True)


if sys.platform != "win32":

    def _lock(folder: Path, *, wait: bool) -> int:
        """Lock a folder; return the descriptor. Raises OSError if another has the lock, or it is gone."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except OSError:  # held by another; or this file system has no locks, so folders stay
                if not wait:
                    raise
            if not os.path.samestat(os.fstat(descriptor), folder.lstat()):
                raise FileNotFoundError(folder)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor
