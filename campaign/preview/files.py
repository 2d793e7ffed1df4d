"""Write messages as .eml files, with the exact octets that would be sent."""

from __future__ import annotations

import re
from pathlib import Path

from campaign.delivery import Message
from campaign.errors import UserError
from campaign.outfile import Kind, Own, writing

_UNSAFE = re.compile(r"[^\w.@+=-]")
_LONGEST = 150  # octets of an address in a file name; file systems allow 255 in total
_BEGINNING = re.compile(rb"(?:DKIM-Signature: (?:[^\r\n]|\r\n[ \t])+\r\n)?MIME-Version: 1\.0\r\nFrom: ")

MESSAGE = Kind(
    "a message of campaign's",
    # Our messages begin like this; a message that was delivered begins with trace fields.
    lambda head: _BEGINNING.match(head) is not None,
    private=True,
    durable=False,  # a folder may get a million of them
)


def write_message(folder: Path, message: Message, own: Own, *, force: bool) -> Path:
    """Write a message as `0001-name@example.com.eml`.

    A link at that path is not followed, because the name comes from the list. Raises UserError.
    """
    address = _UNSAFE.sub("_", message.envelope.recipients[0])
    address = address.encode()[:_LONGEST].decode(errors="ignore")
    path = folder / f"{message.number:04}-{address}.eml"
    with writing(path, MESSAGE, own, force=force, follow=False) as out:
        out.write(message.content)
    return path


def make_folder(folder: Path) -> None:
    """Create the folder for messages if there is none. Raises UserError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: the folder cannot be made: {error.strerror}") from None
