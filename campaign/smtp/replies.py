"""Parses the server's bytes into replies (RFC 5321 4.2), with limits on everything.

A hostile server may send endless lines, endless replies, or bytes that are not text. At most about
`MAX_REPLY` bytes are kept, and the text of a reply is printable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from campaign.delivery import EnhancedCode, Reply
from campaign.errors import ProtocolError

# RFC 5321 4.5.3.1.5: a reply line holds at most 512 octets. Long policy texts and URLs exceed it, so our
# limits are wider.
MAX_LINE = 4096
MAX_LINES = 128
MAX_REPLY = 65536

_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)
# RFC 3463 2: class "." subject "." detail, at the start of the text.
_ENHANCED = re.compile(r"([245])\.([0-9]{1,3})\.([0-9]{1,3})(?![0-9.])")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class ReplyParser:
    """Collects bytes and parses the replies in them."""

    def __init__(self) -> None:
        self._rest = b""  # an incomplete line
        self._untaken = 0  # complete lines after the yielded reply
        self._code = 0
        self._lines: list[str] = []  # of an incomplete reply
        self._size = 0

    @property
    def holds_more(self) -> bool:
        """Whether more bytes follow the yielded reply."""
        return bool(self._untaken or self._rest or self._lines)

    def feed(self, octets: bytes) -> Iterator[Reply]:
        """Take bytes from the connection, and yield each complete reply.

        Raises ProtocolError for bytes that are no reply or exceed the limits, after yielding the replies
        before them.
        """
        *lines, self._rest = (self._rest + octets).split(b"\n")
        self._untaken = len(lines)
        for line in lines:
            self._untaken -= 1
            reply = _single(line) if not self._lines else None
            if reply is None:
                reply = self._continue(line)
            if reply is not None:
                yield reply
        if len(self._rest) > MAX_LINE:
            raise ProtocolError(f"a reply line of more than {MAX_LINE} bytes")

    def _continue(self, line: bytes) -> Reply | None:
        code, text, last = _parse(line)
        # RFC 5321 4.2.1: the code is the same on every line of a reply.
        if self._lines and code != self._code:
            raise ProtocolError(f"a reply that changes its code from {self._code} to {code}")
        self._size += len(line)
        if len(self._lines) >= MAX_LINES or self._size > MAX_REPLY:
            raise ProtocolError(f"a reply of more than {MAX_LINES} lines or {MAX_REPLY} bytes")
        self._code = code
        self._lines.append(text)
        if not last:
            return None
        # RFC 2034 4 puts the enhanced code on every line; if some lack it, the first one found counts.
        codes = (enhanced_code(code, text) for text in self._lines)
        reply = Reply(code, tuple(self._lines), next(filter(None, codes), None))
        self._lines, self._size = [], 0
        return reply


@lru_cache(maxsize=64)  # a server's 250 to each RCPT is the same line a million times
def _single(line: bytes) -> Reply | None:
    """Return the reply if it has only this line, or None if more lines follow."""
    code, text, last = _parse(line)
    return Reply(code, (text,), enhanced_code(code, text)) if last else None


def _parse(line: bytes) -> tuple[int, str, bool]:
    """Return code, text, and whether the line is the last of its reply."""
    if len(line) > MAX_LINE:
        raise ProtocolError(f"a reply line of more than {MAX_LINE} bytes")
    match = _LINE.fullmatch(line.removesuffix(b"\r"))
    if match is None:
        raise ProtocolError(f"a line that is not an SMTP reply: {printable(line[:80])!r}")
    return int(match[1]), printable(match[3] or b""), match[2] != b"-"


def enhanced_code(code: int, text: str) -> EnhancedCode | None:
    """Return the enhanced status code that a reply's text begins with (RFC 2034 4).

    A code whose class contradicts the reply's first digit is ignored.
    """
    match = _ENHANCED.match(text)
    if match is None or int(match[1]) != code // 100:
        return None
    return EnhancedCode(int(match[1]), int(match[2]), int(match[3]))


def printable(raw: bytes) -> str:
    """Decode UTF-8; invalid bytes and control characters become replacement or question marks."""
    return _UNPRINTABLE.sub("?", raw.decode("utf-8", "replace")).strip()
