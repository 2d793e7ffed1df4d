"""Bytes from the server → replies (RFC 5321 4.2), with a bound on everything.

A server may say what it likes: lines without end, replies without end, bytes that are not text.
Whatever comes, memory stays below `MAX_REPLY` and what is kept is printable.
"""

from __future__ import annotations

import re
from functools import lru_cache

from campaign.errors import ProtocolError
from campaign.model import EnhancedCode, Reply

# RFC 5321 4.5.3.1.5: a reply line holds at most 512 octets. Servers with long policy texts and
# URLs exceed it, so the bound is on what we are willing to keep.
MAX_LINE = 4096
MAX_LINES = 128
MAX_REPLY = 65536

_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)
# RFC 3463 2: class "." subject "." detail, each without leading zeros, at the text's start.
_ENHANCED = re.compile(r"([245])\.([0-9]{1,3})\.([0-9]{1,3})(?![0-9.])")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class ReplyParser:
    """Collects bytes and yields each reply once it is complete."""

    def __init__(self) -> None:
        self._buffer = b""
        self._code = 0
        self._lines: list[str] = []  # of a reply whose last line has not come yet
        self._size = 0

    @property
    def holds_more(self) -> bool:
        """Whether bytes of an unfinished reply, or of a reply not yet taken, are held."""
        return bool(self._buffer or self._lines)

    def feed(self, octets: bytes) -> None:
        """Take bytes as they came from the connection."""
        self._buffer += octets

    def next_reply(self) -> Reply | None:
        """Return the next complete reply, or None where more bytes are needed.

        Raises ProtocolError where the bytes are no reply, or outgrow the bounds.
        """
        while True:
            end = self._buffer.find(b"\n", 0, MAX_LINE + 1)
            if end < 0:
                if len(self._buffer) > MAX_LINE:
                    raise ProtocolError(f"a reply line of more than {MAX_LINE} bytes")
                return None
            line, self._buffer = self._buffer[:end], self._buffer[end + 1 :]
            code, text, last = _parse(line)
            # RFC 5321 4.2.1: the code is the same on every line of a reply.
            if self._lines and code != self._code:
                raise ProtocolError(f"a reply that changes its code from {self._code} to {code}")
            self._size += len(line)
            if len(self._lines) >= MAX_LINES or self._size > MAX_REPLY:
                raise ProtocolError(f"a reply of more than {MAX_LINES} lines or {MAX_REPLY} bytes")
            self._code = code
            self._lines.append(text)
            if last:
                reply = Reply(code, tuple(self._lines), enhanced_code(code, text))
                self._lines, self._size = [], 0
                return reply


@lru_cache(maxsize=64)  # a server's 250 to each RCPT is the same line a million times
def _parse(line: bytes) -> tuple[int, str, bool]:
    """Return code, text, and whether the line is its reply's last."""
    match = _LINE.fullmatch(line.removesuffix(b"\r"))
    if match is None:
        raise ProtocolError(f"a line that is no SMTP reply: {printable(line[:80])!r}")
    return int(match[1]), printable(match[3] or b""), match[2] != b"-"


@lru_cache(maxsize=64)
def enhanced_code(code: int, text: str) -> EnhancedCode | None:
    """Return the enhanced status code that a reply's text begins with (RFC 2034 4).

    One whose class contradicts the reply's first digit is not believed.
    """
    match = _ENHANCED.match(text)
    if match is None or int(match[1]) != code // 100:
        return None
    return EnhancedCode(int(match[1]), int(match[2]), int(match[3]))


def printable(raw: bytes) -> str:
    """Decode as UTF-8 where it is, and show what a terminal must not get as a question mark."""
    return _UNPRINTABLE.sub("?", raw.decode("utf-8", "replace")).strip()
