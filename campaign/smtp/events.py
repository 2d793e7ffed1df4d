"""The events of a session, and how long it waits for each reply."""

from __future__ import annotations

from dataclasses import dataclass

from campaign.delivery import Message, Reply, Settled, Stage
from campaign.smtp.extensions import Extensions


@dataclass(frozen=True, slots=True)
class StartTLS:
    """The server is ready for the TLS handshake; call `tls_established` after it."""


@dataclass(frozen=True, slots=True)
class Opened:
    """Greeting, TLS and login are done; messages may be submitted."""

    extensions: Extensions


@dataclass(frozen=True, slots=True)
class BodyDue:
    """The server waits for this message's content; `release` lets it leave."""

    message: Message


@dataclass(frozen=True, slots=True)
class Closed:
    """The session ended at `stage` for the reason `why`, after every open message was settled.

    `reply` is the server's last reply if that ended it. `permanent`: another session cannot help, as
    after a refused login, or without STARTTLS.
    """

    stage: Stage
    why: str
    reply: Reply | None = None
    permanent: bool = False


Event = StartTLS | Opened | BodyDue | Settled | Closed


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait for each reply, in seconds.

    The defaults are those of Postfix's own client (https://www.postfix.org/postconf.5.html,
    smtp_helo_timeout and the like), which are no shorter than those of RFC 5321 4.5.3.2.
    """

    greeting: float = 300
    command: float = 300
    data: float = 120
    block: float = 180
    final_dot: float = 600
    rset: float = 20
    quit: float = 5

    def of(self, stage: Stage) -> float:
        """Return how many seconds the reply to a step of this stage may take."""
        match stage:
            case Stage.GREETING:
                return self.greeting
            case Stage.DATA:
                return self.data
            case Stage.BODY:
                return self.final_dot
            case Stage.RSET:
                return self.rset
            case Stage.QUIT:
                return self.quit
            case _:
                return self.command
