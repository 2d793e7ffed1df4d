"""A session on a transport, with its deadlines: what the sender, `test` and `check --server` hold.

Each reply has a deadline on the wall clock, however its bytes arrive: a server that drips must not
hold us. Nothing is tried again here; opening is (`retry.opening`), where nothing was promised yet.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from campaign.campaignfile import Security, Smtp
from campaign.errors import ConnectFailed, ConnectionLost
from campaign.smtp import Closed, Event, Login, Opened, Session, StartTLS, Timeouts
from campaign.transport import Transport, tls_context


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a server, in seconds."""

    connect: float = 30.0
    handshake: float = 60.0
    replies: Timeouts = field(default_factory=Timeouts)


class Connection:
    """One SMTP session over one connection. Not thread-safe: it belongs to the thread that opened it."""

    def __init__(self, session: Session, transport: Transport) -> None:
        self.session = session
        self.transport = transport
        self._reply_due_since = time.monotonic()
        self._progress = (0, False)

    @classmethod
    def open(cls, smtp: Smtp, login: Login | None, patience: Patience | None = None) -> Connection:
        """Connect, greet, encrypt and log in. Raises ConnectFailed, its message naming the server."""
        patience = patience or Patience()
        transport = Transport.connect(smtp.host, smtp.port, patience.connect)
        try:
            return cls._open_on(transport, smtp, login, patience)
        except ConnectFailed as error:
            transport.close()
            raise ConnectFailed(f"{smtp.host}:{smtp.port}: {error}", permanent=error.permanent) from error
        except BaseException:
            transport.close()
            raise

    @classmethod
    def _open_on(
        cls, transport: Transport, smtp: Smtp, login: Login | None, patience: Patience
    ) -> Connection:
        context = None
        if smtp.security is not Security.NONE:
            context = tls_context(smtp.ca_file, smtp.client_cert, smtp.client_key)
        if context is not None and smtp.security is Security.TLS:
            transport.start_tls(context, patience.handshake)
        session = Session(
            transport.client_name,
            starttls=smtp.security is Security.STARTTLS,
            tls=smtp.security is Security.TLS,
            login=login,
            cleartext_login=smtp.security is Security.NONE,
            timeouts=patience.replies,
        )
        connection = cls(session, transport)
        while True:
            for event in connection.step(session.timeout):
                match event:
                    case StartTLS() if context is not None:
                        transport.start_tls(context, patience.handshake)
                        session.tls_established()
                    case Opened() if session.closed is None:  # else it was taken back in one breath
                        return connection
                    case Closed():
                        raise ConnectFailed(f"{event.stage}: {event.why}", permanent=event.permanent)

    def step(self, wait: float) -> list[Event]:
        """Write what is due, and return what has happened within `wait` seconds; [] for nothing.

        A lost connection is an event too (Closed), after the Settled of what was open.
        """
        session, transport = self.session, self.transport
        was_waiting = session.waiting
        octets = session.data_to_send()
        if octets:
            transport.send(octets, session.block_timeout)
        now = time.monotonic()
        progress = (session.replies, transport.unsent > 0)
        if progress != self._progress or not was_waiting:
            self._progress, self._reply_due_since = progress, now
        if events := session.events():  # of what was submitted and needs no answer
            return events
        # While something of ours has not left, the transport has a deadline for that.
        reply_due = session.waiting and not transport.unsent
        deadline = self._reply_due_since + session.timeout if reply_due else now + wait
        try:
            received = transport.exchange(max(0.0, min(wait, deadline - now)))
        except ConnectionLost as lost:
            return session.lost(str(lost), transport.unsent)
        if received:
            return session.receive(received, transport.unsent)
        if reply_due and time.monotonic() >= deadline:
            why = f"the server did not answer within {session.timeout:g} seconds"
            return session.lost(why, transport.unsent)
        return []

    def quit(self) -> None:
        """Say QUIT, wait a little for the answer, and close."""
        self.session.quit()
        while self.session.closed is None:
            self.step(self.session.timeout)
        self.close()

    def close(self) -> None:
        """Close the connection without a word."""
        self.transport.close()
