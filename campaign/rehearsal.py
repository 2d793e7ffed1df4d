"""The embedded server of `campaign rehearse`: real SMTP, STARTTLS and AUTH, on loopback only.

It accepts mail, counts the recipients, and discards it. Each rehearsal has its own certificate authority,
so that certificates are verified as in a real send. Faults can be requested: whether a recipient meets
one depends on the address alone, so that two rehearsals are alike.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import ssl
import tempfile
import threading
import zlib
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from weakref import WeakSet

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from campaign.address import fold
from campaign.campaignfile.models import CampaignFile, Security
from campaign.errors import UserError
from campaign.sending.account import Logins
from campaign.smtp.auth import Login

_USERNAME = "rehearsal"
# Without --paced, a deferred message is tried again at once.
_FIRST_DELAY, _MAX_DELAY = 0.2, 2.0


class Fault(StrEnum):
    """What the server may do to a share of the recipients."""

    REFUSE = "refuse"  # 550 5.1.1 to RCPT
    DEFER = "defer"  # 450 4.2.1 to RCPT, the first time
    DROP = "drop"  # the connection ends at RCPT, the first time
    DOUBT = "doubt"  # the message is accepted, and the connection ends before the answer


@dataclass(frozen=True, slots=True)
class Faults:
    """The share of recipients, from 0 to 1, that meet each fault."""

    shares: tuple[tuple[Fault, float], ...] = ()

    def of(self, address: str) -> Fault | None:
        """Return the fault that an address meets, or None."""
        place = zlib.crc32(fold(address).encode()) / 2**32
        for fault, share in self.shares:
            if place < share:
                return fault
            place -= share
        return None


def parse_faults(text: str) -> Faults:
    """Parse `refuse,defer:10%`; a share that is not given is 5%. Raises UserError."""
    shares = []
    wrong = []
    for one in filter(None, (part.strip() for part in text.split(","))):
        name, _, share = one.partition(":")
        try:
            percent = float(share.removesuffix("%")) if share else 5.0
            if not 0 <= percent <= 100:
                raise ValueError
            fault = Fault(name)
        except ValueError:
            known = ", ".join(Fault)
            example = name if name in set(Fault) else Fault.REFUSE
            wrong.append(f"--faults: {one!r} is none of {known}, with a share such as {example}:10%")
            continue
        if share and not share.endswith("%"):
            wrong.append(f"--faults: a share is in per cent: write {name}:{share}%")
        shares.append((fault, percent / 100))
    if wrong:
        raise UserError(*wrong)
    if sum(share for _, share in shares) > 1:
        raise UserError("--faults: the shares make more than 100%")
    return Faults(tuple(shares))


class RehearsalServer:
    """The embedded server; it runs while the context is open. `received`: messages per folded address."""

    def __init__(self, faults: Faults) -> None:
        self.received: Counter[str] = Counter()
        self.messages = 0
        self.sessions = 0
        self.password = secrets.token_urlsafe(16)
        self._faults = faults
        self._met: set[str] = set()
        self._connections: WeakSet[asyncio.Transport] = WeakSet()
        self._folder = tempfile.TemporaryDirectory(prefix="campaign-rehearsal-")
        self.ca_file = Path(self._folder.name) / "ca.pem"
        authority = trustme.CA(organization_name="campaign rehearsal")
        authority.cert_pem.write_to_path(self.ca_file)
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost", "127.0.0.1").configure_cert(self._tls)
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> RehearsalServer:
        # The library's own log is of no use to the user, and would appear on the terminal.
        logging.getLogger("mail").addHandler(logging.NullHandler())
        self._thread.start()
        starting = asyncio.run_coroutine_threadsafe(
            self._loop.create_server(self._protocol, "127.0.0.1", 0), self._loop
        )
        self._server = starting.result()
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._folder.cleanup()

    async def _stop(self) -> None:
        assert self._server is not None  # noqa: S101
        self._server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in tuple(self._connections):
            with suppress(AttributeError):  # Python 3.11.2, if TLS has already ended
                connection.abort()
        await asyncio.sleep(0)  # the sockets close in the next iteration of the loop

    def _protocol(self) -> SMTP:
        session = _Session(
            self,
            hostname="localhost",
            ident="campaign rehearsal",
            enable_SMTPUTF8=True,
            data_size_limit=None,
            tls_context=self._tls,
            require_starttls=True,
            auth_required=True,
            authenticator=self._authenticate,
            loop=self._loop,
        )
        session.connections = self._connections
        return session

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        right = (
            isinstance(data, LoginPassword)
            and data.login == _USERNAME.encode()
            and data.password == self.password.encode()
        )
        self.sessions += right
        # handled=False: the library writes the answer.
        return AuthResult(success=right, handled=False)

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", "250-ENHANCEDSTATUSCODES", responses[-1]]

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        fault = self._faults.of(address)
        if fault is Fault.REFUSE:
            return "550 5.1.1 no such user in this rehearsal"
        if fault in (Fault.DEFER, Fault.DROP) and address not in self._met:
            self._met.add(address)
            if fault is Fault.DEFER:
                return "450 4.2.1 try again in this rehearsal"
            _hang_up(server)
            return "421 4.3.2 dropped in this rehearsal"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.messages += 1
        self.received.update(map(fold, envelope.rcpt_tos))
        if self._faults.of(envelope.rcpt_tos[0]) is Fault.DOUBT:
            _hang_up(server)
        return f"250 2.0.0 Ok: taken as rehearsal {self.messages}"


class _Session(SMTP):
    """A session that records its connections, so that the server can close those that are left."""

    connections: WeakSet[asyncio.Transport]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self.connections.add(transport)
        super().connection_made(transport)


def _hang_up(server: SMTP) -> None:
    if isinstance(server.transport, asyncio.Transport):  # the client may have closed it already
        server.transport.abort()


def rehearsed(campaign: CampaignFile, server: RehearsalServer, *, paced: bool) -> CampaignFile:
    """Return the campaign with the embedded server instead of its own.

    Without `paced` it has no rate, and retries deferred messages at once.
    """
    smtp = campaign.smtp.model_copy(
        update={
            "host": "localhost",
            "port": server.port,
            "security": Security.STARTTLS,
            "username": _USERNAME,
            "auth": None,
            "ca_file": server.ca_file,
            "client_cert": None,
            "client_key": None,
            "server_name": None,
            "window": 1,  # the embedded server has no CHUNKING
            "rate": campaign.smtp.rate if paced else (),
        }
    )
    update: dict[str, object] = {"smtp": smtp}
    if not paced:
        retry = campaign.retry.model_copy(update={"first_delay": _FIRST_DELAY, "max_delay": _MAX_DELAY})
        update |= {"rate": (), "retry": retry}
    return campaign.model_copy(update=update)


def rehearsal_logins(server: RehearsalServer) -> Logins:
    """Return the login to the embedded server."""
    return Logins(Login(_USERNAME, server.password))
