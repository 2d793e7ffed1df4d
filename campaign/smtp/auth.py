"""Logging in (RFC 4954): PLAIN, LOGIN and XOAUTH2, as answers to the server's challenges.

No secret appears in a repr. `opening` makes sure that a mechanism is used inside TLS only.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

MAX_COMMAND = 512


class Mechanism(StrEnum):
    """The SASL mechanisms that are supported."""

    PLAIN = "plain"
    LOGIN = "login"
    XOAUTH2 = "xoauth2"


@dataclass(frozen=True, slots=True)
class Login:
    """Who logs in and with what: a password, or for XOAUTH2 an access token."""

    username: str
    secret: str = field(repr=False)
    mechanism: Mechanism | None = None

    def choose(self, offered: frozenset[str]) -> Mechanism | None:
        """Return the mechanism configured, else PLAIN or LOGIN, or None where it is not offered."""
        wanted = (self.mechanism,) if self.mechanism else (Mechanism.PLAIN, Mechanism.LOGIN)
        return next((mechanism for mechanism in wanted if mechanism.upper() in offered), None)


def responses(login: Login, mechanism: Mechanism) -> Iterator[bytes]:
    """Yield the AUTH command's line, then the answer to each challenge, all without CRLF."""
    match mechanism:
        case Mechanism.PLAIN:
            # RFC 4616 2: authorization identity, NUL, authentication identity, NUL, password.
            yield from _initial(b"AUTH PLAIN", f"\0{login.username}\0{login.secret}")
        case Mechanism.LOGIN:
            yield b"AUTH LOGIN"
            yield _base64(login.username)
            yield _base64(login.secret)
        case Mechanism.XOAUTH2:
            # https://developers.google.com/workspace/gmail/imap/xoauth2-protocol
            yield from _initial(b"AUTH XOAUTH2", f"user={login.username}\1auth=Bearer {login.secret}\1\1")
            # A refused token brings a 334 with the error; an empty response makes the server send its 535.
            yield b""


def _initial(command: bytes, response: str) -> Iterator[bytes]:
    """Yield the command with its initial response, which saves a round trip, or each on its own line.

    RFC 4954 4: an AUTH line is limited to 512 octets with CRLF (RFC 5321 4.5.3.1.4); a response that
    does not fit is sent after an empty challenge instead.
    """
    encoded = _base64(response)
    if len(command) + 1 + len(encoded) + 2 <= MAX_COMMAND:
        yield command + b" " + encoded
    else:
        yield command
        yield encoded


def _base64(text: str) -> bytes:
    return base64.b64encode(text.encode())
