"""Read a file that a campaign names, after checking its type and size."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable
from io import BufferedReader
from pathlib import Path

from campaign.wording import size

MOST_OF_A_TEMPLATE = 10_000_000
MOST_OF_AN_ATTACHMENT = 100_000_000
MOST_OF_A_KEY = 5_000_000  # octets; also for a bundle of CAs
MOST_OF_A_LIST = 8_000_000_000

PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY")
"""The beginning of a private key in PEM and OpenSSH format; such a file is never sent."""


def is_same_file(path: Path, others: Iterable[Path]) -> bool:
    """Whether `path`, links resolved, is one of `others`, by its name or by another hard link."""
    others = tuple(others)
    if path in others:
        return True
    try:
        found = path.stat()
        # Nearly every file has only one name; then the others need not be checked.
        return found.st_nlink > 1 and any(other.exists() and other.samefile(path) for other in others)
    except OSError:
        return False


def open_file(path: Path, most: int) -> BufferedReader:
    """Open a file of at most `most` octets.

    Raises OSError, with a `strerror` for the user, also for a pipe, a device or a folder, which might
    never end, and for a file that is larger.
    """
    # O_NONBLOCK: opening a pipe would wait for a writer. Windows has no such files, but needs O_BINARY.
    flags = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, os.O_RDONLY | flags)
    try:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is a pipe or a device, not a file")
        if found.st_size > most:
            raise OSError(errno.EFBIG, f"it has {size(found.st_size)}, and at most {size(most)} are read")
        return os.fdopen(descriptor, "rb")
    except OSError:
        os.close(descriptor)
        raise


def read_file(path: Path, most: int) -> bytes:
    """Return the octets of a file. Raises OSError as `open_file` does, also if it grows beyond `most`."""
    with open_file(path, most) as file:
        octets = file.read(most + 1)
    if len(octets) > most:
        raise OSError(errno.EFBIG, f"it has more than {size(most)}")
    return octets
