"""Rendered parts → the octets of a message (RFC 5322, 2045, 2046).

    Skeleton(constant headers, static attachments)  once for a campaign
    skeleton.assemble(headers, text, html, images, attachments)  → chunks of octets, per recipient

The chunks of files are shared between messages: joined they are the message, with CRLF line ends
only. A part travels as 7bit, quoted-printable or base64, whichever its content asks for, and never
as 8bit: the octets are the same for every server. A boundary begins with `=_`, which neither
encoding can give (RFC 2045 6.7), and 7bit text that holds it is encoded.
"""

from __future__ import annotations

import binascii
import mimetypes
import re
from collections.abc import Sequence
from dataclasses import dataclass

from campaign import headers

LONGEST_7BIT = 78  # RFC 5322 2.1.1: lines of text SHOULD be no longer
_LINE = 76  # RFC 2045 6.7 (5), 6.8
_HIGH = bytes(range(128, 256))
_CONTROLS = bytes(octet for octet in range(32) if octet not in b"\t\n")
_TYPES = mimetypes.MimeTypes()  # Python's own table: the same on every machine
_NAME = re.compile(rb"^([!-9;-~]+):", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class File:
    """A file as a MIME part, encoded: `octets` begin with its headers and end in CRLF."""

    octets: bytes
    content_id: str = ""


def attachment(name: str, content: bytes) -> File:
    """Return a file as an attachment. Raises HeaderError for a name that cannot be one."""
    content_type, _ = _TYPES.guess_type(name)
    disposition = "Content-Disposition: attachment" + headers.parameter("filename", name)
    return _file(content_type or "application/octet-stream", content, disposition)


def image(name: str, content: bytes, content_id: str) -> File:
    """Return a file that an HTML part shows as `cid:content_id` (RFC 2392)."""
    content_type, _ = _TYPES.guess_type(name)
    disposition = f"Content-ID: <{content_id}>\r\nContent-Disposition: inline" + headers.parameter(
        "filename", name
    )
    return _file(content_type or "application/octet-stream", content, disposition, content_id)


def _file(content_type: str, content: bytes, disposition: str, content_id: str = "") -> File:
    major = content_type.partition("/")[0]
    encoding = "base64"
    if content_type == "message/rfc822" and _is_7bit(content):
        # RFC 2046 5.2.1: neither quoted-printable nor base64 here.
        encoding, body = "7bit", _crlf(_lf(content))
    else:
        body = base64(content)
    if major in ("message", "multipart") and encoding == "base64":
        content_type = "application/octet-stream"
    elif major == "text":
        content_type += "; charset=utf-8" if _is_utf8(content) else ""
    lines = f"Content-Type: {content_type}\r\nContent-Transfer-Encoding: {encoding}\r\n{disposition}\r\n\r\n"
    return File(lines.encode("ascii") + body, content_id)


class Skeleton:
    """What all messages of a campaign share. `boundary` is a word of letters and digits."""

    def __init__(self, constant: Sequence[bytes], attachments: Sequence[File], boundary: str) -> None:
        self._constant = b"".join([*constant, b"MIME-Version: 1.0\r\n"])
        self._attachments = tuple(attachments)
        self._mark = f"--=_{boundary}".encode("ascii")
        self._mixed = _Multipart("mixed", f"=_{boundary}_m")
        self._related = _Multipart("related", f"=_{boundary}_r", "; type=text/html")
        self._alternative = _Multipart("alternative", f"=_{boundary}_a")

    def assemble(
        self,
        lines: Sequence[bytes],
        text: str | None,
        html: str | None,
        images: Sequence[File] = (),
        attachments: Sequence[File] = (),
    ) -> list[bytes]:
        """Return a message's chunks; `lines` are its own header fields, from `campaign.headers`.

        One of `text` and `html` is given, or both. Raises ValueError where, against all care, the
        header does not have exactly the fields that were built.
        """
        head = b"".join([self._constant, *lines])
        _verify(head, self._constant, lines)
        attachments = (*self._attachments, *attachments)
        body: list[bytes] = []
        if html is not None:
            body = [self._text("html", html)]
            if images:
                body = self._related.wrap([body, *([file.octets] for file in images)])
        if text is not None:
            plain = [self._text("plain", text)]
            body = self._alternative.wrap([plain, body]) if body else plain
        if attachments:
            body = self._mixed.wrap([body, *([file.octets] for file in attachments)])
        return [head + body[0], *body[1:]]

    def _text(self, kind: str, value: str) -> bytes:
        encoding, body = encode_text(value, self._mark)
        charset = "us-ascii" if encoding == "7bit" else "utf-8"
        start = (
            f"Content-Type: text/{kind}; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
        )
        return start.encode("ascii") + body


class _Multipart:
    """A multipart's fixed lines (RFC 2046 5.1.1)."""

    def __init__(self, kind: str, boundary: str, parameters: str = "") -> None:
        self._head = (
            f'Content-Type: multipart/{kind}{parameters};\r\n boundary="{boundary}"\r\n\r\n--{boundary}\r\n'
        ).encode("ascii")
        # Every part ends in CRLF, and the CRLF before a delimiter is the delimiter's own.
        self._between = f"\r\n--{boundary}\r\n".encode("ascii")
        self._end = f"\r\n--{boundary}--\r\n".encode("ascii")

    def wrap(self, parts: Sequence[list[bytes]]) -> list[bytes]:
        chunks = [self._head]
        for number, part in enumerate(parts):
            if number:
                chunks.append(self._between)
            chunks += part
        return [*chunks, self._end]


def encode_text(value: str, mark: bytes = b"--=_") -> tuple[str, bytes]:
    """Return a text's transfer encoding and its octets, ending in CRLF.

    7bit for ASCII in lines of at most 78 characters that does not hold `mark`; else what is shorter
    of quoted-printable and base64. Line ends of any kind become CRLF. Lone surrogates become `?`.
    """
    if "\r" in value:
        value = value.replace("\r\n", "\n").replace("\r", "\n")
    octets = value.encode("utf-8", "replace")
    if not octets.endswith(b"\n"):
        octets += b"\n"
    if (
        octets.isascii()
        and max(map(len, octets.split(b"\n"))) <= LONGEST_7BIT
        and mark not in octets
        and len(octets.translate(None, _CONTROLS)) == len(octets)
    ):
        return "7bit", _crlf(octets)
    size = len(octets)
    encoded = 2 * (size - len(octets.translate(None, _HIGH + b"=")))
    if 3 * encoded > size:
        return "base64", base64(_crlf(octets))
    return "quoted-printable", quoted_printable(octets)


def quoted_printable(octets: bytes) -> bytes:
    """Encode text with LF line ends; lines of the result have at most 76 octets and end in CRLF."""
    encoded = binascii.b2a_qp(octets, istext=True)
    if b"=20\n" in encoded or b"=09\n" in encoded:
        # A blank at a line's end is encoded after the line was measured.
        lines = encoded.split(b"\n")
        for number, line in enumerate(lines):
            if len(line) > _LINE:
                lines[number] = line[:-3] + b"=\n" + line[-3:]
        encoded = b"\n".join(lines)
    return encoded.replace(b"\n", b"\r\n")


def base64(octets: bytes) -> bytes:
    """Encode in lines of 76 characters; at least one line, even for nothing."""
    step = _LINE // 4 * 3
    encode = binascii.b2a_base64
    lines = [encode(octets[at : at + step], newline=False) for at in range(0, len(octets), step)]
    return b"\r\n".join(lines) + b"\r\n"


def _lf(octets: bytes) -> bytes:
    return octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _crlf(octets: bytes) -> bytes:
    """LF to CRLF, with one at the end."""
    octets = octets.replace(b"\n", b"\r\n")
    return octets if octets.endswith(b"\n") else octets + b"\r\n"


def _is_7bit(content: bytes) -> bool:
    """Whether octets may travel as they are: RFC 2045 2.7."""
    lines = _lf(content).split(b"\n")
    return (
        content.isascii()
        and b"\0" not in content
        and b"--=_" not in content
        and max(map(len, lines)) <= headers.LONGEST
    )


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _verify(head: bytes, constant: bytes, lines: Sequence[bytes]) -> None:
    """The fields of the header are those that were built, each ending in CRLF."""
    feeds = head.count(b"\n")
    # What begins a line is a field of ours, or white space that goes on with one.
    fields = len(lines) + len(_NAME.findall(constant))
    folded = head.count(b"\n ")
    if (
        not feeds == head.count(b"\r\n") == head.count(b"\r")
        or feeds - folded != fields
        or len(_NAME.findall(head)) != fields
    ):
        raise ValueError("a header field is not what it was built as")
