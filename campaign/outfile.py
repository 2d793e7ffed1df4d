"""Write a file that a user asked for: completely or not at all, and never over a file of another kind.

    with writing(path, EXPORT, own_files, force=force) as out:
        out.write(b"...")

The octets go to a temporary file in the same folder, which is renamed when it is complete. A command that
is killed before that leaves the old file unchanged, and its temporary file; the next command that writes
the same file removes the latter. The writer holds a lock on the temporary file (flock), which ends with
its process.

An existing file at `path` is replaced only if it is empty, if its first octets show that it is of the
same kind (`Kind.recognises`), or with --force. One of the campaign's own files is never replaced, not
even with --force.

A symbolic link that the user names is followed, as by `>` in a shell: its target is judged and replaced,
and the link stays. A path that is not a regular file (a pipe, a terminal, /dev/null) or that names an
open descriptor (/dev/stdout, /dev/fd/3) is never replaced, but opened and written to.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, TextIO

from campaign.errors import UserError

if sys.platform != "win32":
    import fcntl

GENERATOR = b'<meta name="generator" content="campaign">'
"""A mark in the first lines of every HTML page that this program writes."""

_HEAD = 65_536  # octets that are read to recognise a file
_PAGE_HEAD = 2048  # octets within which a page of ours has the mark; further down it may be a quotation
_DESCRIPTOR = re.compile(r"/(?:dev|proc/self|proc/thread-self)/fd/([0-9]{1,6})")
_STREAMS = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
_AT_ONCE = 4  # commands that can write the same file at once, each with a temporary file
_LINKS = 40  # links to follow at most, as on Linux


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file that a command writes.

    `recognises` takes the first octets of an existing file, at most 65,536, and returns whether it is of
    this kind. `private`: it contains personal data and gets mode 0600; other files get a mode by the
    umask, or keep theirs. `durable`: it is synced to disk when `writing` ends; files that are quickly
    made again are not.
    """

    name: str
    recognises: Callable[[bytes], bool]
    private: bool
    durable: bool = True


class Own(Protocol):
    """Knows which files belong to a campaign."""

    def named(self, path: Path) -> str:
        """Return what in the campaign names the file at `path`, or ""."""

    def reachable(self, path: Path) -> str:
        """Return what in the campaign could name the file at `path` for some row, or ""."""


def is_page(head: bytes) -> bool:
    """Whether a file that begins with `head` is an HTML page that this program wrote."""
    return GENERATOR in head[:_PAGE_HEAD]


@contextmanager
def writing(
    path: Path, kind: Kind, own: Own, *, force: bool = False, follow: bool = True
) -> Iterator[BinaryIO]:
    """Write a file. It replaces the one at `path` when the context ends without an exception.

    Without `follow`, a link at `path` is itself replaced, which needs `force`. Raises UserError if the
    file must not be replaced or cannot be written, and BrokenPipeError if a pipe has no reader any more.
    """
    try:
        through = _open_through(path) if follow or not path.is_symlink() else None
        if through is not None:
            with os.fdopen(through, "wb") as out:
                yield out
            return
        # Path.resolve() raises an unclear error for a loop of links; os.stat below has a better one.
        place = Path(os.path.realpath(path)) if follow else path
        mode = _judged(path, place, kind, own, force=force)
        with _replacing(place, mode, kind) as out:
            yield out
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None


def append(path: Path, own: Own) -> TextIO:
    """Open a text file to append lines to, as UTF-8; a regular file gets mode 0600.

    Raises UserError if it is one of the campaign's own files, and OSError.
    """
    descriptor = _open_through(path)
    if descriptor is None:
        _refuse_own(path, own.named(path))
        descriptor = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
        with suppress(PermissionError):  # another user owns the file, and lets us write
            path.chmod(0o600)
    return os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", buffering=1)


def is_regular(path: Path) -> bool:
    """Whether `path` is a regular file, or would become one by writing."""
    if _descriptor(path) is not None:
        return False
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True


def _judged(path: Path, place: Path, kind: Kind, own: Own, *, force: bool) -> int | None:
    """Return the mode of the regular file at `place`, None if there is none. Raises UserError, OSError."""
    _refuse_own(path, own.named(place))
    try:
        found = place.lstat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise UserError(f"{path} is a folder; name a file")
    head = _head(place) if stat.S_ISREG(found.st_mode) else None
    if head is None or not kind.recognises(head):
        _refuse_own(path, own.reachable(place))
        if head != b"" and not force:
            raise UserError(
                f"{path} already exists, and is not {kind.name}; name another file, or overwrite it"
                " with --force"
            )
    return stat.S_IMODE(found.st_mode)


def _refuse_own(path: Path, named_by: str) -> None:
    if named_by:
        raise UserError(f"{path} is one of the campaign's own files ({named_by}); name another file")


def _head(place: Path) -> bytes | None:
    """Return a file's first octets, or None if it cannot be read."""
    try:
        with place.open("rb") as file:
            return file.read(_HEAD)
    except OSError:
        return None


@contextmanager
def _replacing(place: Path, mode: int | None, kind: Kind) -> Iterator[BinaryIO]:
    """Write a temporary file and rename it to `place`; `mode` is the mode of the file there, if any."""
    unfinished, out = _begun(place, 0o600 if kind.private else 0o666)
    lock = os.dup(out.fileno())  # the lock is held until the file has its name, and is closed
    try:
        with out:
            yield out
            out.flush()
            if mode is not None and not kind.private:
                unfinished.chmod(mode)
            if kind.durable:
                os.fsync(out.fileno())
        unfinished.replace(place)  # from now on another command can use the temporary name
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise
    finally:
        os.close(lock)


def _begun(place: Path, mode: int) -> tuple[Path, BinaryIO]:
    """Create a locked temporary file for `place`, and return its path and the file.

    Temporary files of dead commands are removed. Their names are the same each time, so that they are found
    without listing the folder.
    """
    beginning = f".campaign-{hashlib.sha256(os.fsencode(place.name)).hexdigest()[:12]}"
    names = [place.with_name(f"{beginning}-{number}") for number in range(_AT_ONCE)]
    for path in names:
        _remove_dead(path)
    for path in (*names, place.with_name(f"{beginning}-{secrets.token_hex(6)}")):
        with suppress(FileExistsError):
            out = open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode))  # noqa: SIM115
            if _locked(out.fileno()) and os.fstat(out.fileno()).st_nlink:
                return path, out
            out.close()  # another command removed it, before it was locked
    raise FileExistsError(errno.EBUSY, "too many commands write it at the same time")


def _remove_dead(path: Path) -> None:
    """Remove a temporary file if its writer has died."""
    if sys.platform == "win32":  # it has no flock; the file stays
        return
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            # Only the holder of the lock may remove or rename the file, and only if it is still the same.
            if _locked(descriptor, wait=False) and os.path.samestat(os.fstat(descriptor), path.lstat()):
                path.unlink()
        finally:
            os.close(descriptor)


def _locked(descriptor: int, *, wait: bool = True) -> bool:
    """Lock an open file; return whether that was possible. With `wait` it always is."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # another process has the lock, or this file system has none: remove nothing
        return wait
    return True


def _open_through(path: Path) -> int | None:
    """Open a file that must be written to, not replaced. Return None for any other, or if there is none."""
    number = _descriptor(path)
    if number is not None:
        # Opening it by name would truncate a file behind it, and write from its beginning.
        return os.dup(number)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return None
    return os.open(path, os.O_WRONLY)


def _descriptor(path: Path) -> int | None:
    """Return the number of the open descriptor that a path names, directly or through links."""
    name = os.path.abspath(path)  # noqa: PTH100  (Path.absolute keeps `..`)
    for _ in range(_LINKS):
        if name in _STREAMS:
            return _STREAMS[name]
        match = _DESCRIPTOR.fullmatch(name)
        if match is not None:
            return int(match[1])
        try:
            leads_to = os.readlink(name)  # noqa: PTH115
        except OSError:
            return None
        name = os.path.normpath(os.path.join(os.path.dirname(name), leads_to))  # noqa: PTH118, PTH120
    return None
