"""A file that a campaign names → its octets; its kind and its size are looked at before it is read."""

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
MOST_OF_A_KEY = 5_000_000  # a bundle of CAs is one too
MOST_OF_A_LIST = 8_000_000_000

PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY")
"""How a private key begins in PEM and in OpenSSH's format: no recipient's business."""


def is_same_file(path: Path, others: Iterable[Path]) -> bool:
    """Whether `path`, links resolved, is one of `others`, by its name or by another hard link."""
    others = tuple(others)
    if path in others:
        return True
    try:
        found = path.stat()
        # Nearly every file has one name; the others then need not be looked at.
        return found.st_nlink > 1 and any(other.exists() and other.samefile(path) for other in others)
    except OSError:
        return False


def open_file(path: Path, most: int) -> BufferedReader:
    """Open a file of at most `most` octets.

    Raises OSError, whose `strerror` is for a person: a pipe, a device or a folder, which might never
    end, and a file that is larger.
    """
    # Opening a pipe would wait for whoever writes into it. Windows has no such file, and reads texts.
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
    """Return the octets of a file; raises as `open_file` does. What grows meanwhile is held to `most`."""
    with open_file(path, most) as file:
        octets = file.read(most + 1)
    if len(octets) > most:
        raise OSError(errno.EFBIG, f"it has more than {size(most)}")
    return octets
