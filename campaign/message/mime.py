"""Assembles rendered parts into the octets of a message (RFC 5322, 2045, 2046).

    Skeleton(static attachments, boundary)  once for a campaign
    skeleton.assemble(headers, text, html, images, attachments, calendar)  → chunks of octets, per recipient

The chunks together are the message, with CRLF line ends only; messages share the chunks of files. A part is
encoded as 7bit, quoted-printable or base64, depending on its content, and never as 8bit, so that every
server gets the same octets. A boundary begins with `=_`, which neither encoding can produce (RFC 2045 6.7);
7bit text that contains it is encoded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from campaign.message import headers
from campaign.message.transfer import base64, encode_text

_NAME = re.compile(rb"^[!-9;-~]+:", re.MULTILINE)
_LONE_RETURN = re.compile(rb"\r(?!\n)")
_OCTETS = "application/octet-stream"
_MESSAGE = "message/rfc822"
_VERSION = b"MIME-Version: 1.0\r\n"  # RFC 2045 4
# Media types registered with IANA, by extension. Python's own table depends on version and machine.
_TYPES = {
    "epub": "application/epub+zip",
    "gz": "application/gzip",
    "tgz": "application/gzip",
    "json": "application/json",
    "doc": "application/msword",
    "dot": "application/msword",
    "pdf": "application/pdf",
    "sig": "application/pgp-signature",
    "rtf": "application/rtf",
    "pkpass": "application/vnd.apple.pkpass",
    "xls": "application/vnd.ms-excel",
    "ppt": "application/vnd.ms-powerpoint",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odt": "application/vnd.oasis.opendocument.text",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "7z": "application/x-7z-compressed",
    "bz2": "application/x-bzip2",
    "tar": "application/x-tar",
    "xz": "application/x-xz",
    "xml": "application/xml",
    "yaml": "application/yaml",
    "yml": "application/yaml",
    "zip": "application/zip",
    "zst": "application/zstd",
    "m4a": "audio/mp4",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "wav": "audio/wav",
    "avif": "image/avif",
    "bmp": "image/bmp",
    "gif": "image/gif",
    "heic": "image/heic",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "png": "image/png",
    "svg": "image/svg+xml",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "ico": "image/vnd.microsoft.icon",
    "webp": "image/webp",
    "eml": "message/rfc822",
    "ics": "text/calendar",
    "css": "text/css",
    "csv": "text/csv",
    "htm": "text/html",
    "html": "text/html",
    "md": "text/markdown",
    "log": "text/plain",
    "txt": "text/plain",
    "tsv": "text/tab-separated-values",
    "vcf": "text/vcard",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "webm": "video/webm",
}


@dataclass(frozen=True, slots=True)
class File:
    """A file as an encoded MIME part; `octets` include its header fields."""

    octets: bytes
    content_id: str = ""


def attachment(name: str, content: bytes) -> File:
    """Return a file as an attachment. Raises HeaderError for an impossible name."""
    return _file(name, content, b"Content-Disposition: attachment")


def image(name: str, content: bytes, content_id: str) -> File:
    """Return a file that an HTML part shows as `cid:content_id` (RFC 2392). Raises HeaderError."""
    inline = headers.exact("Content-ID", f"<{content_id}>") + b"Content-Disposition: inline"
    return _file(name, content, inline, content_id)


def invitation(content: bytes) -> File:
    """Return a calendar as a file. Outlook opens it by its type `application/ics`, Gmail by its name."""
    kind = 'application/ics; name="invite.ics"'
    return _file("invite.ics", content, b"Content-Disposition: attachment", content_type=kind)


def _file(
    name: str, content: bytes, disposition: bytes, content_id: str = "", content_type: str = ""
) -> File:
    _, dot, extension = name.rpartition(".")
    content_type = content_type or (_TYPES.get(extension.lower(), _OCTETS) if dot else _OCTETS)
    if content_type == _MESSAGE and not _is_7bit_message(content):
        content_type = _OCTETS
    if content_type == _MESSAGE:
        # RFC 2046 5.2.1 allows neither quoted-printable nor base64 here.
        encoding, body = "7bit", content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    else:
        encoding, body = "base64", base64(content)
    if content_type.startswith("text/") and _is_utf8(content):
        content_type += "; charset=utf-8"
    content_type += headers.name_in_words(name)
    start = f"Content-Type: {content_type}\r\nContent-Transfer-Encoding: {encoding}\r\n".encode("ascii")
    end = f"{headers.parameter('filename', name)}\r\n\r\n".encode("ascii")
    return File(b"".join((start, disposition, end, body)), content_id)


class Skeleton:
    """What all messages of a campaign share. `boundary` is a word of letters and digits."""

    def __init__(self, attachments: Sequence[File], boundary: str) -> None:
        self._attachments = tuple(attachments)
        self._mixed = _Multipart("mixed", f"=_{boundary}_m")
        self._related = _Multipart("related", f"=_{boundary}_r", '; type="text/html"')
        self._alternative = _Multipart("alternative", f"=_{boundary}_a")

    def assemble(
        self,
        lines: Sequence[bytes],
        text: bytes | None,
        html: bytes | None,
        images: Sequence[File] = (),
        attachments: Sequence[File] = (),
        calendar: bytes | None = None,
    ) -> list[bytes]:
        """Return a message's chunks; `lines` are its own header fields, from `campaign.message.headers`.

        `text` or `html` must be given; `calendar` is the last alternative to them. Raises ValueError if the
        header does not have exactly the fields in `lines`, which would be a bug.
        """
        fields = [_VERSION, *lines]
        head = b"".join(fields)
        _verify(head, fields)
        attachments = (*self._attachments, *attachments)
        body: list[bytes] = []
        if html is not None:
            body = [html]
            if images:
                body = self._related.wrap([body, *([file.octets] for file in images)])
        # RFC 2046 5.1.4: the preferred alternative is last.
        others = [[part] for part in (calendar,) if part is not None]
        alternatives = [*([[text]] if text is not None else []), *([body] if body else []), *others]
        body = self._alternative.wrap(alternatives) if len(alternatives) > 1 else alternatives[0]
        if attachments:
            body = self._mixed.wrap([body, *([file.octets] for file in attachments)])
        return [head + body[0], *body[1:]]

    def added(self, attachments: Sequence[File], *, mixed: bool) -> int:
        """Return how many octets larger a message is with its attachments than without.

        `mixed`: it has a file already, an invitation.
        """
        files = [file.octets for file in (*self._attachments, *attachments)]
        if not files:
            return 0
        now = self._mixed.size(2) if mixed else 0
        return sum(map(len, files)) + self._mixed.size(len(files) + (2 if mixed else 1)) - now


class _Multipart:
    """The delimiter lines of a multipart (RFC 2046 5.1.1)."""

    def __init__(self, kind: str, boundary: str, parameters: str = "") -> None:
        self._head = (
            f'Content-Type: multipart/{kind}{parameters};\r\n boundary="{boundary}"\r\n\r\n--{boundary}\r\n'
        ).encode("ascii")
        # Every part ends in CRLF; the CRLF before a delimiter belongs to the delimiter.
        self._between = f"\r\n--{boundary}\r\n".encode("ascii")
        self._end = f"\r\n--{boundary}--\r\n".encode("ascii")

    def wrap(self, parts: Sequence[list[bytes]]) -> list[bytes]:
        chunks = [self._head]
        for number, part in enumerate(parts):
            if number:
                chunks.append(self._between)
            chunks += part
        return [*chunks, self._end]

    def size(self, parts: int) -> int:
        """Return how many octets it has beside its parts."""
        return len(self._head) + (parts - 1) * len(self._between) + len(self._end)


def mark_of(boundary: str) -> bytes:
    """Return the start of all MIME delimiters that contain this boundary word."""
    return f"--=_{boundary}".encode("ascii")


def boundary_of(mark: bytes) -> str:
    """Return the word that `mark_of` was given."""
    return mark.removeprefix(b"--=_").decode("ascii")


def text_part(kind: str, value: str, mark: bytes, hide_commands: bool = False) -> bytes:
    """Return a text part, plain or html, with its header; text that contains `mark` is encoded."""
    encoding, body = encode_text(value, mark, hide_commands)
    charset = "us-ascii" if encoding == "7bit" else "utf-8"
    start = f"Content-Type: text/{kind}; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return start.encode("ascii") + body


def calendar_part(method: str, calendar: str, mark: bytes, hide_commands: bool = False) -> bytes:
    """Return a calendar as an alternative to the text (RFC 6047 2.4); `method` is the one in it."""
    encoding, body = encode_text(calendar, mark, hide_commands)
    kind = f"text/calendar; method={method}; charset=utf-8"
    return f"Content-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode("ascii") + body


def is_whole_lines(part: bytes) -> bool:
    """Whether a part has CRLF line ends only, and ends in one (RFC 5321 2.3.8)."""
    return part.endswith(b"\r\n") and part.count(b"\n") == part.count(b"\r\n") == part.count(b"\r")


def _is_7bit_message(content: bytes) -> bool:
    """Whether a message is 7bit (RFC 2045 2.7) and has no line like our delimiters."""
    return (
        content.isascii()
        and _NAME.match(content) is not None
        and b"\0" not in content
        and _LONE_RETURN.search(content) is None
        and not content.startswith(b"--=_")
        and b"\n--=_" not in content
        and max(map(len, content.replace(b"\r\n", b"\n").split(b"\n"))) <= headers.LONGEST
    )


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _verify(head: bytes, fields: list[bytes]) -> None:
    """Raise ValueError unless `head` consists of exactly these fields, with CRLF line ends only."""
    feeds = head.count(b"\n")
    names = _NAME.findall(head)
    # Each line begins one of our fields, or continues one with white space.
    if (
        not feeds == head.count(b"\r\n") == head.count(b"\r")
        or not feeds - head.count(b"\n ") == len(names) == len(fields)
        or not all(map(bytes.startswith, fields, names))
    ):
        raise ValueError("the header has other fields than were built")
