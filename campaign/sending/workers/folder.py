"""A private folder of a worker's, which vanishes, and what to do where it cannot be written.

A worker that is killed leaves its folder, and people's letters in it. The next one of the same user removes
it. Whether an owner lives is told by a lock (flock) on the folder, which ends with the process, however that
dies: its number may be another's by now, or one of a container that shares the folder of temporary files.
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
    """Make the folder, for as long as the context is open. Raises UserError."""
    try:
        folder, lock = _made()
    except OSError as error:
        raise unwritable(error) from error
    try:
        yield folder.resolve()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def remove_dead() -> None:
    """Remove the folders of this user's workers that died."""
    if sys.platform == "win32":  # there they stay
        return
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if folder.lstat().st_uid == os.geteuid():
                lock = _locked(folder, wait=False)
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


def unwritable(error: OSError) -> UserError:
    """Return the error for what could not be written into it."""
    what = f"temporary files cannot be written: {error.strerror}"
    return UserError(f"{what}. Make room on the disk, or name another folder in TMPDIR")


def _made() -> tuple[Path, int | None]:
    """Make a folder; return it, and the descriptor that locks it. Raises OSError."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        if sys.platform == "win32":
            return folder, None
        with suppress(FileNotFoundError):  # somebody took it for a dead one's, before it was locked
            return folder, _locked(folder, wait=True)


if sys.platform != "win32":

    def _locked(folder: Path, *, wait: bool) -> int:
        """Lock a folder; return the descriptor that does. Raises OSError where it is another's, or gone."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except OSError:  # another's; or this file system has no locks, and nothing is ever removed
                if not wait:
                    raise
            if not os.path.samestat(os.fstat(descriptor), folder.lstat()):
                raise FileNotFoundError(folder)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor
