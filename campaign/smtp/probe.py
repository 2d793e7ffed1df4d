"""Tests whether a server reads a content by BDAT, even after a refused recipient, before any message uses it.

RFC 3030 2 has it read the octets, refuse them, and go on; `window` explains why that matters.
"""

from __future__ import annotations

from dataclasses import dataclass

from campaign.delivery import Reply, Stage
from campaign.errors import ProtocolError
from campaign.smtp import commands
from campaign.smtp.extensions import Extensions
from campaign.smtp.window import bdat

# Taken for commands, each of its lines would have an answer of its own, and RSET's would be late.
_HARMLESS = b"Subject: probe\r\n\r\nprobe\r\n"
# RFC 5321 4.2.2: what a server says that does not know a command, or knows it and not here. Behind a
# refused recipient 503 is right, as 554 is.
_UNKNOWN = range(500, 503)


@dataclass(frozen=True, slots=True)
class Command:
    """A command to send next."""

    stage: Stage
    octets: bytes


class Probe:
    """Asks a server to refuse a content as RFC 3030 2 says.

    Once it has `ended`, `failure` says what was wrong, or "".
    """

    def __init__(self) -> None:
        self.ended = False
        self.failure = ""

    def begin(self) -> tuple[Command, ...]:
        """Return the first group: an envelope whose recipient has no address."""
        mail = commands.mail("", 0, Extensions(), smtputf8=False)
        return (Command(Stage.MAIL, mail), Command(Stage.RCPT, commands.rcpt("")))

    def take(self, stage: Stage, reply: Reply) -> tuple[Command, ...]:
        """Return the next group after the reply to a step, or () for none.

        Raises ProtocolError where the server is out of step with us.
        """
        rset = Command(Stage.RSET, b"RSET\r\n")
        match stage:
            case Stage.RCPT if reply.code < 400:
                self.failure = f"the server accepts a recipient without an address ({reply.text})"
                return (rset,)
            case Stage.RCPT:
                return (Command(Stage.BODY, bdat([_HARMLESS], len(_HARMLESS))), rset)
            case Stage.BODY if reply.code < 400 or reply.code in _UNKNOWN:
                self.failure = f"the server does not refuse BDAT as RFC 3030 says ({reply.text})"
            case Stage.RSET if not reply.positive:
                raise ProtocolError(f"a refusal of RSET behind a content for nobody: {reply.text!r}")
            case Stage.RSET:
                self.ended = True
        return ()
