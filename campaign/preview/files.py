"""Files that a person asked for: whole or not at all, in their place, and over nothing else.

A file is written under another name and moved into its place, so a link in the place of a message is
replaced, not followed. Previews hold recipients' data: they are their owner's alone.
"""

from __future__ import annotations

import re
import secrets
from contextlib import suppress
from os import O_CREAT, O_EXCL, O_WRONLY, fdopen
from os import open as open_descriptor
from pathlib import Path

from campaign.errors import UserError
from campaign.model import Message

_UNSAFE = re.compile(r"[^\w.@+=-]")
_LONGEST = 150  # octets of an address in a name; file systems take 255 in all
_HEAD = 2048
MARK = '<meta name="generator" content="campaign">'
"""What a page of ours has in its first lines: such a page may be overwritten."""


def write_message(folder: Path, message: Message) -> Path:
    """Write a message's exact octets as `0001-name@example.com.eml`. Raises UserError."""
    address = _UNSAFE.sub("_", message.envelope.recipients[0])
    address = address.encode()[:_LONGEST].decode(errors="ignore")
    path = folder / f"{message.number:04}-{address}.eml"
    _write(path, message.content, 0o600)
    return path


def make_folder(folder: Path) -> None:
    """Make the folder for messages where there is none. Raises UserError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: the folder cannot be made: {error.strerror}") from None


def write_page(path: Path, page: str, *, private: bool) -> None:
    """Write a page; `private`: for its owner alone.

    Raises UserError where another file than a page of ours is there already.
    """
    place = path.resolve()
    if place.is_file():
        try:
            with place.open("rb") as file:
                head = file.read(_HEAD)
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error.strerror}") from None
        if head.strip() and MARK.encode() not in head:
            raise UserError(f"{path} is there already, and is no page of campaign's; name another file")
    _write(place, page.encode(), 0o600 if private else 0o666)


def _write(path: Path, octets: bytes, mode: int) -> None:
    try:
        if path.exists() and not path.is_file():  # a pipe, a terminal; a folder raises
            path.write_bytes(octets)
            return
        unfinished = path.with_name(f".campaign-{secrets.token_hex(6)}")
        try:
            with fdopen(open_descriptor(unfinished, O_CREAT | O_EXCL | O_WRONLY, mode), "wb") as file:
                file.write(octets)
            unfinished.replace(path)
        finally:
            with suppress(OSError):
                unfinished.unlink()
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None
