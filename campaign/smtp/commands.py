"""Makes SMTP command lines (RFC 5321 4.1.1), and the dot-stuffed content (4.5.2)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from campaign.errors import ProtocolError
from campaign.smtp.extensions import Extensions

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def line(text: str) -> bytes:
    """Return a command line with its CRLF.

    Raises ProtocolError for a control character, which could start another command. No address that
    gets here contains one.
    """
    if _CONTROL.search(text):
        raise ProtocolError(f"a control character in a command: {text[:80]!r}")
    return text.encode() + b"\r\n"


def mail(sender: str, size: int, extensions: Extensions, *, smtputf8: bool) -> bytes:
    """Return MAIL, with the parameters that the server supports."""
    parameters = f" SIZE={size}" if extensions.declares_size else ""
    if smtputf8:
        # RFC 6531 3.6: a message with UTF-8 headers travels as 8BITMIME.
        parameters += " BODY=8BITMIME SMTPUTF8" if extensions.eightbitmime else " SMTPUTF8"
    return line(f"MAIL FROM:<{sender}>{parameters}")


def rcpt(address: str) -> bytes:
    """Return RCPT for one forward-path."""
    return line(f"RCPT TO:<{address}>")


def body(chunks: Sequence[bytes]) -> bytes:
    """Return a content dot-stuffed, with its final dot. Each chunk must end at the end of a line.

    RFC 5321 4.5.2: a line that begins with a dot gets another; CRLF . CRLF ends the mail data.
    """
    stuffed: list[bytes] = []
    for chunk in chunks:
        if chunk.startswith(b"."):
            stuffed.append(b".")
        stuffed.append(chunk.replace(b"\r\n.", b"\r\n.."))
    ended = not stuffed or stuffed[-1].endswith(b"\r\n")
    stuffed.append(b".\r\n" if ended else b"\r\n.\r\n")
    return b"".join(stuffed)
