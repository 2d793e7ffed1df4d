"""One way to write a file that a person asked for: whole or not at all, and never over another's work.

    with writing(path, EXPORT, own_files, force=force) as out:
        out.write(b"...")

The octets go to a temporary file in the same folder, which is renamed to the file's name when it is
complete. A command that is killed in between leaves the old file as it was, and its temporary file: the
next one that writes the same file removes that. Whoever writes one has it locked (flock), which ends with
the process, however that dies.

What stands at `path` already is replaced only if it is empty, if its first octets show that it is of
the same kind (`Kind.recognises`), or with --force. One of the campaign's own files is never replaced,
not even with --force.

A symbolic link that a person names is followed, as by `>` in a shell: the file that it leads to is
judged and replaced, and the link stays. What is not a regular file (a pipe, a terminal, /dev/null) or
names an open descriptor (/dev/stdout, /dev/fd/3) is never replaced: it is opened and written through.
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
"""What every page of ours has in its first lines."""

_HEAD = 65_536  # octets that are looked at to recognise a file
_PAGE_HEAD = 2048  # octets in which a page of ours has that mark; further down it may be quoted
_DESCRIPTOR = re.compile(r"/(?:dev|proc/self|proc/thread-self)/fd/([0-9]{1,6})")
_STREAMS = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
_AT_ONCE = 4  # temporary files of one file that are looked for
_LINKS = 40  # followed at most, as by Linux


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file that a command writes.

    `recognises` takes the first octets of an existing file, at most 65,536, and says whether it is of
    this kind. `private`: it holds people's data and gets mode 0600; other files get what the umask
    leaves, or keep the mode they had. `durable`: it is on the disk when `writing` ends; for files that
    are quickly made again it need not be.
    """

    name: str
    recognises: Callable[[bytes], bool]
    private: bool
    durable: bool = True


class Own(Protocol):
    """Knows the files that a campaign is made of."""

    def named(self, path: Path) -> str:
        """Return what in the campaign names the file at `path`, "" if nothing does."""

    def reachable(self, path: Path) -> str:
        """Return what in the campaign could name the file at `path` for some row, "" if nothing could."""


def is_page(head: bytes) -> bool:
    """Whether a file that begins like this is an HTML page that a command of ours wrote."""
    return GENERATOR in head[:_PAGE_HEAD]


@contextmanager
def writing(
    path: Path, kind: Kind, own: Own, *, force: bool = False, follow: bool = True
) -> Iterator[BinaryIO]:
    """Write a file. It takes its place when the context ends without an exception.

    Without `follow`, a link at `path` is not followed: it is itself what would be replaced, which takes
    `force`. Raises UserError if the file must not be replaced or cannot be written, and BrokenPipeError
    if nobody reads a pipe any more.
    """
    try:
        through = _open_through(path) if follow or not path.is_symlink() else None
        if through is not None:
            with os.fdopen(through, "wb") as out:
                yield out
            return
        # Path.resolve() raises for links that lead in a circle; os.stat below says it in words.
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
        with suppress(PermissionError):  # it belongs to somebody else, who lets us write
            path.chmod(0o600)
    return os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", buffering=1)


def is_regular(path: Path) -> bool:
    """Whether `path` is a regular file, or would be one when it is written."""
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
    """Return a file's first octets, None if it cannot be read."""
    try:
        with place.open("rb") as file:
            return file.read(_HEAD)
    except OSError:
        return None


@contextmanager
def _replacing(place: Path, mode: int | None, kind: Kind) -> Iterator[BinaryIO]:
    """Write a temporary file and rename it to `place`; `mode` is that of the file there."""
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
        unfinished.replace(place)  # from here on the name is another's to take
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise
    finally:
        os.close(lock)


def _begun(place: Path, mode: int) -> tuple[Path, BinaryIO]:
    """Make a locked temporary file for `place`, and return it with its name; what dead ones left is removed.

    The names are the same each time, so that what is left is found without a look at the whole folder.
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
            out.close()  # somebody took it for a dead one's, before it was locked
    raise FileExistsError(errno.EBUSY, "too many commands write it at once")


def _remove_dead(path: Path) -> None:
    """Remove a temporary file whose writer died."""
    if sys.platform == "win32":  # there it stays
        return
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            # Who has the lock is the only one that removes or renames the file, if this is still it.
            if _locked(descriptor, wait=False) and os.path.samestat(os.fstat(descriptor), path.lstat()):
                path.unlink()
        finally:
            os.close(descriptor)


def _locked(descriptor: int, *, wait: bool = True) -> bool:
    """Lock an open file; return whether that was possible, which it always is with `wait`."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # somebody else has it, or this file system has no locks: then nothing is removed
        return wait
    return True


def _open_through(path: Path) -> int | None:
    """Open a file that is written through. Return None for any other, and if there is none yet."""
    number = _descriptor(path)
    if number is not None:
        # Opened anew by its name, a file behind it would be truncated and written from its beginning.
        return os.dup(number)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return None
    return os.open(path, os.O_WRONLY)


def _descriptor(path: Path) -> int | None:
    """Return the number of the open descriptor that a path names, itself or through links."""
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
