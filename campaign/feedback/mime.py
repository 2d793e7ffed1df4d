"""Parse a hostile mail into header fields and parts, with a limit on everything.

Anybody can send mail to this parser. It reads the first `MOST` octets of a mail: reports begin with the
relevant part, and end with the message that they are about. The standard library's parser has no such
limits: nested parts exhaust its stack, and 100 MB its memory. All work here is linear in `MOST`.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

MOST = 1 << 20  # octets of a mail
_HEADER = 64 * 1024  # octets of a header
_FIELDS = 500
_VALUE = 2000  # characters of a field
_PARTS = 50
_DEPTH = 5
_FIELD = re.compile(r"([!-9;-~]{1,76})[ \t]*:")  # RFC 5322 3.6.8; 4.5 allows blanks before the colon
_BOUNDARY = re.compile(r';[ \t]*boundary[ \t]*=[ \t]*(?:"([^"]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a header, in order: names in lower case, values unfolded and at most 2,000 characters."""

    pairs: tuple[tuple[str, str], ...]

    def first(self, name: str) -> str:
        """Return the value of the topmost field with this name, or ""."""
        return next(self.every(name), "")

    def every(self, name: str) -> Iterator[str]:
        """Yield the values of all fields with this name."""
        return (value for known, value in self.pairs if known == name)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a mail, or the mail itself: media type in lower case, header, and undecoded body."""

    type: str
    fields: Fields
    body: bytes

    @property
    def octets(self) -> bytes:
        """The decoded body (RFC 2045 6); unchanged if the transfer encoding is unknown."""
        encoding = self.fields.first("content-transfer-encoding").strip().lower()
        try:
            if encoding == "base64":
                return binascii.a2b_base64(self.body).replace(b"\r\n", b"\n")
            if encoding == "quoted-printable":
                return binascii.a2b_qp(self.body)
        except binascii.Error:
            return self.body
        return self.body

    @property
    def text(self) -> str:
        """The body as text. Everything that we look for in it is ASCII or UTF-8 (RFC 6533)."""
        return self.octets.decode("utf-8", "replace")


def parts(mail: bytes) -> list[Part]:
    """Return a mail and its parts, in order, without the parts of attached messages."""
    found: list[Part] = []
    waiting = [(mail[:MOST].replace(b"\r\n", b"\n").replace(b"\r", b"\n"), 0)]
    while waiting and len(found) < _PARTS:
        octets, depth = waiting.pop()
        fields, body = divided(octets)
        value = fields.first("content-type")
        kind = value.partition(";")[0].strip().lower() or "text/plain"
        found.append(Part(kind, fields, body))
        boundary = _BOUNDARY.search(value) if kind.startswith("multipart/") and depth < _DEPTH else None
        if boundary is not None:
            inner = _inner(body, (boundary[1] or boundary[2]).encode("utf-8", "replace"))
            waiting += [(piece, depth + 1) for piece in reversed(inner)]
    return found


def divided(octets: bytes) -> tuple[Fields, bytes]:
    """Return the header and the body of a message or part; its line ends must be LF."""
    if octets.startswith(b"\n"):
        return Fields(()), octets[1:]
    header, _, body = octets.partition(b"\n\n")
    return fields_of(header), body


def fields_of(header: bytes) -> Fields:
    """Return the fields of a header, or of a block in a report that has the form of one."""
    pairs: list[tuple[str, list[str]]] = []
    for line in header[:_HEADER].decode("utf-8", "replace").split("\n"):
        if line[:1] in (" ", "\t"):
            if pairs:
                pairs[-1][1].append(line.strip())
            continue
        name = _FIELD.match(line)
        if name is not None and len(pairs) < _FIELDS:
            pairs.append((name[1].lower(), [line[name.end() :].strip()]))
    return Fields(tuple((name, " ".join(lines)[:_VALUE]) for name, lines in pairs))


def _inner(body: bytes, boundary: bytes) -> list[bytes]:
    """Return the parts between the lines of a boundary (RFC 2046 5.1.1)."""
    line = re.compile(rb"^--" + re.escape(boundary) + rb"(--)?[ \t]*(?:\n|\Z)", re.MULTILINE)
    inner: list[bytes] = []
    start = None
    for match in line.finditer(body):
        if start is not None:
            inner.append(body[start : max(start, match.start() - 1)])
        start = match.end()
        if match[1] or len(inner) >= _PARTS:
            return inner
    return inner if start is None else [*inner, body[start:]]
