"""Logs in by PLAIN, LOGIN or XOAUTH2: makes the AUTH command and the responses to challenges (RFC 4954).

No secret appears in a repr. `opening` makes sure that AUTH is used only inside TLS. IMAP uses the same
mechanisms with a command of its own: `feedback/imap.py` takes only their `messages`.
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
    """A user name with its secret: a password, or for XOAUTH2 an access token."""

    username: str
    secret: str = field(repr=False)
    mechanism: Mechanism | None = None

    def choose(self, offered: frozenset[str]) -> Mechanism | None:
        """Return the configured mechanism, or by default PLAIN or LOGIN; None if it is not offered."""
        usable = (self.mechanism,) if self.mechanism else (Mechanism.PLAIN, Mechanism.LOGIN)
        return next((mechanism for mechanism in usable if mechanism.upper() in offered), None)


def messages(login: Login, mechanism: Mechanism) -> list[bytes]:
    """Return what the client says in a mechanism, one message for each challenge, before base64."""
    match mechanism:
        case Mechanism.PLAIN:
            # RFC 4616 2: authorization identity, NUL, authentication identity, NUL, password.
            words = [f"\0{login.username}\0{login.secret}"]
        case Mechanism.LOGIN:
            words = [login.username, login.secret]
        case Mechanism.XOAUTH2:
            # https://developers.google.com/workspace/gmail/imap/xoauth2-protocol
            # If the server refuses the token, its challenge has the error; an empty message ends the attempt.
            words = [f"user={login.username}\1auth=Bearer {login.secret}\1\1", ""]
    return [word.encode() for word in words]


def responses(login: Login, mechanism: Mechanism) -> Iterator[bytes]:
    """Yield the AUTH command, then the response to each challenge, all without CRLF."""
    command = f"AUTH {mechanism.upper()}".encode()
    first, *others = map(base64.b64encode, messages(login, mechanism))
    if mechanism is Mechanism.LOGIN:  # the server asks first (draft-murchison-sasl-login)
        yield command
        yield first
    else:
        yield from _initial(command, first)
    yield from others


def _initial(command: bytes, encoded: bytes) -> Iterator[bytes]:
    """Yield the command with its initial response, which saves a round trip, or the two one by one.

    RFC 4954 4: an AUTH line is limited to 512 octets with CRLF (RFC 5321 4.5.3.1.4). A response that
    does not fit is sent after an empty challenge.
    """
    if len(command) + 1 + len(encoded) + 2 <= MAX_COMMAND:
        yield command + b" " + encoded
    else:
        yield command
        yield encoded
