"""Opens a session, from the greeting to the login: takes each reply and returns the next command.

A refusal here concerns us or the server, never a recipient. After a 4xx another session may help. After
a 5xx, or if the server lacks a required extension, it cannot (`Closed.permanent`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from campaign.delivery import Reply, Stage
from campaign.errors import ProtocolError
from campaign.smtp import auth, commands
from campaign.smtp.auth import Login
from campaign.smtp.events import Closed, Opened, StartTLS
from campaign.smtp.extensions import Extensions
from campaign.smtp.probe import Command, Probe
from campaign.smtp.window import LEAST_TRANSACTIONS

# The next group of commands, or an event.
Next = tuple[Command, ...] | StartTLS | Opened | Closed

# RFC 3207 6: bytes that follow the 220 in cleartext can only have been injected.
INJECTED = Closed(
    Stage.STARTTLS,
    "bytes were injected after the server's reply to STARTTLS: somebody interferes with the connection",
    permanent=True,
)


class Opening:
    """The state of a session until it is open; `Session` explains the parameters."""

    def __init__(
        self,
        client: str,
        *,
        starttls: bool,
        tls: bool,
        login: Login | None,
        cleartext_login: bool,
        window: int = 1,
    ) -> None:
        self.extensions = Extensions()
        self.greeting: Reply | None = None
        self.awaits_tls = False  # from `StartTLS` to `tls_established`
        self.window = 1  # contents that may be unanswered
        self.why_no_window = ""  # if a window was asked for
        self._wanted_window = window
        self._probe: Probe | None = None
        self._client = client
        self._starttls = starttls
        self._tls = tls
        self._login = login
        self._cleartext_login = cleartext_login
        self._helo = False
        self._responses: Iterator[bytes] = iter(())

    @property
    def probed(self) -> bool:
        """Whether a mail transaction was used to test the server for a window."""
        return self._probe is not None

    def take(self, stage: Stage, reply: Reply, *, more_bytes: bool) -> Next:
        """Return the next step after the reply to the command of `stage`.

        `more_bytes`: more bytes followed the reply. Raises ProtocolError for a reply that RFC 5321
        4.3.2 does not allow here.
        """
        if self._probe is not None:
            return self._probed(self._probe, stage, reply)
        match stage:
            case Stage.GREETING:
                return self._greeted(reply)
            case Stage.EHLO:
                return self._introduced(reply)
            case Stage.STARTTLS:
                return self._starting_tls(reply, more_bytes)
            case _:
                return self._challenged(reply)

    def tls_established(self) -> tuple[Command, ...]:
        """Continue inside TLS: everything learnt before is discarded (RFC 3207 4.2)."""
        self._tls = True
        self._starttls = self.awaits_tls = False
        self.extensions = Extensions()
        return self._ehlo()

    def _greeted(self, reply: Reply) -> Next:
        self.greeting = reply
        # RFC 5321 3.1: 220, or a refusal such as 554.
        if reply.code == 220:
            return self._ehlo()
        if reply.code < 400:
            raise ProtocolError(f"an invalid greeting: {reply.text!r}")
        return _refused(Stage.GREETING, "the server greeted with a refusal", reply)

    def _ehlo(self) -> tuple[Command, ...]:
        verb = "HELO" if self._helo else "EHLO"
        return (Command(Stage.EHLO, commands.line(f"{verb} {self._client}")),)

    def _introduced(self, reply: Reply) -> Next:
        if reply.code == 250:
            if not self._helo:
                self.extensions = Extensions.parse(reply)
            return self._secured()
        if reply.code < 400:
            raise ProtocolError(f"no answer to EHLO: {reply.text!r}")
        if reply.code < 500 or self._helo:
            return self._unwelcome("the server refused our greeting", reply)
        if self._tls or self._starttls or self._login:
            return self._unwelcome("the server refused EHLO, and with it TLS and login", reply)
        # RFC 5321 3.2: a server that does not know EHLO may know HELO, and offers no extensions then.
        self._helo = True
        return self._ehlo()

    def _unwelcome(self, what: str, reply: Reply) -> Closed:
        closed = _refused(Stage.EHLO, f"{what} ({'HELO' if self._helo else 'EHLO'} {self._client})", reply)
        if reply.code != 421 and reply.code < 500:
            return closed
        # Some relays refuse an address literal with 421: smtp-relay.gmail.com does.
        hint = "; if the name is the cause, write this machine's full name as `smtp.client_name`"
        return replace(closed, why=closed.why + hint)

    def _secured(self) -> Next:
        if self._starttls:
            if self.extensions.starttls:
                return (Command(Stage.STARTTLS, b"STARTTLS\r\n"),)
            return Closed(
                Stage.STARTTLS,
                "the server does not offer STARTTLS, and nothing is sent without it; if it speaks TLS from"
                " the start (often port 465), write `security: tls`",
                permanent=True,
            )
        return self._authenticate(self._login) if self._login else self._open()

    def _starting_tls(self, reply: Reply, more_bytes: bool) -> Next:
        if reply.code >= 400:
            return _refused(Stage.STARTTLS, "the server refused STARTTLS", reply)
        if reply.code != 220:
            raise ProtocolError(f"no answer to STARTTLS: {reply.text!r}")
        if more_bytes:
            return INJECTED
        self.awaits_tls = True
        return StartTLS()

    def _authenticate(self, login: Login) -> Next:
        if not (self._tls or self._cleartext_login):
            why = "the connection is not encrypted, so no password is sent over it"
            return Closed(Stage.AUTH, why, permanent=True)
        mechanism = login.choose(self.extensions.auth)
        if mechanism is None:
            offered = ", ".join(sorted(self.extensions.auth)) or "none"
            ours = login.mechanism.upper() if login.mechanism else "PLAIN or LOGIN"
            why = f"the server does not offer to log in with {ours} (it offers: {offered})"
            return Closed(Stage.AUTH, why, permanent=True)
        self._responses = auth.responses(login, mechanism)
        return self._response()

    def _challenged(self, reply: Reply) -> Next:
        if reply.code == 235:
            return self._open()
        if reply.code >= 400:
            return _refused(Stage.AUTH, "the server refused the login", reply)
        if reply.code != 334:
            raise ProtocolError(f"no answer to AUTH: {reply.text!r}")
        return self._response()

    def _open(self) -> Next:
        """Return the end of the opening, or the probe for a window if one is wanted."""
        if self._wanted_window == 1:
            return Opened(self.extensions)
        most = self.extensions.mail_max
        if not (self.extensions.chunking and self.extensions.pipelining):
            self.why_no_window = "the server does not offer CHUNKING and PIPELINING"
            return Opened(self.extensions)
        if most is not None and most < LEAST_TRANSACTIONS:
            self.why_no_window = f"the server takes too few messages per session (LIMITS MAILMAX={most})"
            return Opened(self.extensions)
        self._probe = Probe()
        return self._probe.begin()

    def _probed(self, probe: Probe, stage: Stage, reply: Reply) -> Next:
        try:
            further = probe.take(stage, reply)
        except ProtocolError as error:
            self.why_no_window = f"the server sent {error}"
            raise
        if not probe.ended:
            return further
        self.why_no_window = probe.failure
        self.window = 1 if probe.failure else self._wanted_window
        return Opened(self.extensions)

    def _response(self) -> tuple[Command, ...]:
        response = next(self._responses, None)
        if response is None:
            raise ProtocolError("one challenge too many")
        return (Command(Stage.AUTH, response + b"\r\n"),)


def _refused(stage: Stage, what: str, reply: Reply) -> Closed:
    return Closed(stage, f"{what}: {reply.text}", reply, permanent=reply.code >= 500)
