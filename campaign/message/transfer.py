"""Encodes a text or a file as 7bit, quoted-printable or base64 (RFC 2045 6)."""

from __future__ import annotations

import binascii
import struct
from functools import lru_cache
from itertools import chain

from campaign.delivery import COMMAND_LINE

LONGEST_7BIT = 78  # RFC 5322 2.1.1: lines of text SHOULD be no longer
_LINE = 76  # RFC 2045 6.7 (5), 6.8
_CACHED = 1000  # octets of the longest line whose encoding is cached
_CONTROLS = bytes(octet for octet in range(32) if octet not in b"\t\n")


def encode_text(value: str, mark: bytes = b"--=_", hide_commands: bool = False) -> tuple[str, bytes]:
    """Return a text's transfer encoding and its octets, ending in CRLF.

    It is 7bit for ASCII without `mark` and with lines of at most 78 characters; else quoted-printable or
    base64, whichever is shorter. All line ends become CRLF. Lone surrogates become `?`. `hide_commands`:
    no line begins with an SMTP verb, except in base64.
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
        and not (hide_commands and COMMAND_LINE.search(b"\n" + octets))
    ):
        return "7bit", octets.replace(b"\n", b"\r\n")
    # Each octet that UTF-8 adds means at least 4/3 escaped octets, each two octets longer. Above this share
    # quoted-printable is longer than base64.
    if 8 * (len(octets) - len(value)) <= len(octets):
        quoted = quoted_printable(octets)
        if hide_commands:
            quoted = without_commands(quoted)
        if 3 * len(quoted) <= 4 * len(octets):
            return "quoted-printable", quoted
    return "base64", base64(octets.replace(b"\n", b"\r\n"))


def quoted_printable(octets: bytes) -> bytes:
    """Encode text with LF line ends; lines of the result have at most 76 octets and end in CRLF."""
    return b"\r\n".join(
        [_cached_line(line) if len(line) <= _CACHED else _quoted_line(line) for line in octets.split(b"\n")]
    )


def without_commands(quoted: bytes) -> bytes:
    """Encode the first letter of each line of quoted-printable that begins with an SMTP verb."""
    if COMMAND_LINE.search(b"\n" + quoted) is None:
        return quoted
    lines = quoted.split(b"\r\n")
    for number, line in enumerate(lines):
        if COMMAND_LINE.match(b"\n" + line):
            at = len(line) - len(line.lstrip(b" \t"))
            soft_break = b"" if len(line) + 2 <= _LINE else b"=\r\n"
            lines[number] = line[:at] + b"=%02X" % line[at] + soft_break + line[at + 1 :]
    return b"\r\n".join(lines)


def _quoted_line(line: bytes) -> bytes:
    encoded = binascii.b2a_qp(line)
    if len(encoded) <= _LINE:
        return encoded
    if line.endswith((b" ", b"\t")) and len(encoded) - encoded.rfind(b"\n") - 1 > _LINE:
        # b2a_qp encodes a blank at the end of a line after measuring the line.
        encoded = encoded[:-3] + b"=\n" + encoded[-3:]
    return encoded.replace(b"\n", b"\r\n")


# Most lines are the same in all messages of a campaign.
_cached_line = lru_cache(maxsize=4096)(_quoted_line)


def base64(octets: bytes) -> bytes:
    """Encode in lines of 76 characters; empty content gives one empty line."""
    encoded = binascii.b2a_base64(octets, newline=False)
    whole = len(encoded) // _LINE * _LINE
    lines = list(chain.from_iterable(struct.iter_unpack(f"{_LINE}s", encoded[:whole])))
    if whole < len(encoded) or not lines:
        lines.append(encoded[whole:])
    return b"\r\n".join(lines) + b"\r\n"
