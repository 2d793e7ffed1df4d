"""Tests, before a window is used, whether the server reads a BDAT content even after a refused recipient.

By RFC 3030 2 it must read the octets, refuse them, and continue; `window` explains why that matters.
"""

from __future__ import annotations

from dataclasses import dataclass

from campaign.delivery import Reply, Stage
from campaign.errors import ProtocolError
from campaign.smtp import commands
from campaign.smtp.extensions import Extensions
from campaign.smtp.window import bdat

# If the server took its lines for commands, each would get a reply of its own, and RSET's would be late.
_HARMLESS = b"Subject: probe\r\n\r\nprobe\r\n"
# RFC 5321 4.2.2: replies that mean that the server does not know or support the command. 503 and 554 are
# correct after a refused recipient.
_UNKNOWN = range(500, 503)


@dataclass(frozen=True, slots=True)
class Command:
    """A command to send next."""

    stage: Stage
    octets: bytes


class Probe:
    """Asks a server to refuse a content as RFC 3030 2 says.

    Once it has `ended`, `failure` is what was wrong, or "".
    """

    def __init__(self) -> None:
        self.ended = False
        self.failure = ""

    def begin(self) -> tuple[Command, ...]:
        """Return the first group: an envelope with an empty recipient address."""
        mail = commands.mail("", 0, Extensions(), smtputf8=False)
        return (Command(Stage.MAIL, mail), Command(Stage.RCPT, commands.rcpt("")))

    def take(self, stage: Stage, reply: Reply) -> tuple[Command, ...]:
        """Return the next group after the reply to a step, or () for none.

        Raises ProtocolError if the server is out of sync.
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
                raise ProtocolError(f"a refusal of RSET after a content for nobody: {reply.text!r}")
            case Stage.RSET:
                self.ended = True
        return ()
