"""A message as recipients get it, decoded for the rules; each part is decoded once, on first use.

It is decoded from the octets that would be sent, so that the rules check what was really built. This
module knows the layout that `message.mime` writes: each text part and each image begins a chunk, and if the
message has one part, the header ends in the first chunk.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from campaign.address import AddressError, parse_mailbox
from campaign.checks.page import Page
from campaign.message.encodedwords import decoded

_TEXT_PART = re.compile(
    rb"Content-Type: text/(plain|html); charset=[a-z0-9-]+\r\n"
    rb"Content-Transfer-Encoding: ([a-z0-9-]+)\r\n\r\n"
)
_CONTENT_ID = re.compile(rb"Content-ID: <([^>]*)>", re.IGNORECASE)
_FILE_NAME = re.compile(rb'filename="([^"]*)"')
_FOLD = re.compile(r"\r\n(?=[ \t])")
_HEAD = 2000  # octets within which a part's header ends


@dataclass(frozen=True, slots=True)
class Image:
    """An image that is embedded in a message: its file name, and its size in octets."""

    content_id: str
    name: str
    size: int


class Seen:
    """One message, in its chunks. Everything is decoded on first use."""

    def __init__(self, chunks: Sequence[bytes]) -> None:
        self._chunks = chunks

    @cached_property
    def headers(self) -> Mapping[str, str]:
        """The decoded header fields, by their names in lower case; of duplicates, the first."""
        # They are in the first chunk, or, after a signature, in the second.
        head = b"".join(self._chunks[:2]).partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
        fields: dict[str, str] = {}
        for name, value in map(_field, _FOLD.sub("", head).split("\r\n")):
            fields.setdefault(name, value)
        return fields

    @property
    def subject(self) -> str:
        """The subject."""
        return self.headers.get("subject", "")

    @property
    def sender(self) -> str:
        """The address in From."""
        return _address(self.headers.get("from", ""))

    @property
    def text(self) -> str | None:
        """The text part."""
        return self._parts.get(b"plain")

    @cached_property
    def lines(self) -> list[str]:
        """The lines of the text part."""
        return (self.text or "").split("\n")

    @property
    def html(self) -> str | None:
        """The HTML part."""
        return self._parts.get(b"html")

    @cached_property
    def page(self) -> Page | None:
        """The HTML part, split into pieces."""
        return Page(self.html) if self.html is not None else None

    @cached_property
    def images(self) -> list[Image]:
        """The embedded images."""
        found = []
        for chunk in self._chunks:
            if chunk.startswith(b"Content-Type: image/") and (named := _CONTENT_ID.search(chunk, 0, _HEAD)):
                file = _FILE_NAME.search(chunk, 0, _HEAD)
                name = file[1].decode("utf-8", "replace") if file is not None else ""
                found.append(Image(named[1].decode("utf-8", "replace"), name, len(chunk) * 3 // 4))
        return found

    @cached_property
    def _parts(self) -> Mapping[bytes, str]:
        parts: dict[bytes, str] = {}
        for number, chunk in enumerate(self._chunks):
            # A text part's chunk may begin with the message's own header; other chunks with their own.
            found = _TEXT_PART.search(chunk) if number < 2 else _TEXT_PART.match(chunk)
            if found is not None:
                parts.setdefault(found[1], _text(found[2], chunk[found.end() :]))
            if len(parts) == 2:
                break
        return parts


# Most fields are the same in all messages of a campaign.
@lru_cache(maxsize=256)
def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.lower(), decoded(value.strip()) if "=?" in value else value.strip()


def _text(encoding: bytes, body: bytes) -> str:
    if encoding == b"quoted-printable":
        body = binascii.a2b_qp(body)
    elif encoding == b"base64":
        body = binascii.a2b_base64(body)
    return body.decode("utf-8", "replace").replace("\r\n", "\n")


@lru_cache(maxsize=64)
def _address(value: str) -> str:
    try:
        return parse_mailbox(value).address
    except AddressError:
        return ""
