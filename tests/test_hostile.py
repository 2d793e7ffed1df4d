"""Servers that drip, flood, stare, lie and hang up, on loopback, against a real Connection.

Whatever they do, the client ends within its own deadlines, its memory stays flat, and what it says
of each address is the truth. A server is a script that runs in a thread, with a `Peer` in its hand.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from campaign.campaignfile.models import Security, Smtp
from campaign.errors import ConnectFailed
from campaign.model import Answer, Envelope, Fate, Message, Settled, Stage
from campaign.sending import connection, transport
from campaign.sending.connection import Connection, Patience
from campaign.smtp import BodyDue, Closed, Event, Login, Mechanism, Timeouts
from campaign.verdict import Verdict, judge
from tests.servers.certificates import Certificates, Kind

GENEROUS = 60.0  # seconds: what no test may take, however slow the machine
LARGE = 16 << 20  # bytes: more than a kernel takes for a server that does not read
LOGIN = Login("news", "secret", Mechanism.PLAIN)


class Gone(Exception):
    """The client has hung up."""


class Peer:
    """The server's end of a connection."""

    def __init__(self, connection: socket.socket, certificates: Certificates, over: threading.Event) -> None:
        self.heard: list[str] = []  # command lines
        self._socket = connection
        self._certificates = certificates
        self._over = over
        self._buffer = b""

    def say(self, octets: bytes) -> None:
        try:
            self._socket.sendall(octets)
        except OSError as error:
            raise Gone from error

    def drip(self, octets: bytes) -> None:
        """Say a byte at a time, for ever."""
        self.say(octets)
        while not self._over.wait(0.02):
            self.say(b"x")

    def flood(self, octets: bytes, times: int) -> None:
        for _ in range(times):
            self.say(octets)

    def hear(self) -> str:
        """Return the next line."""
        while b"\r\n" not in self._buffer:
            self._read()
        line, self._buffer = self._buffer.split(b"\r\n", 1)
        self.heard.append(line.decode())
        return self.heard[-1]

    def hear_content(self) -> bytes:
        content = bytearray(b"\r\n" + self._buffer)
        while (end := content.find(b"\r\n.\r\n", max(0, len(content) - 2 * 65536))) < 0:
            self._buffer = b""
            self._read()
            content += self._buffer
        self._buffer = bytes(content[end + 5 :])
        return bytes(content[2:end])

    def read_slowly(self) -> None:
        while not self._over.wait(0.02):
            self._buffer = b""
            self._read(1)

    def stare(self) -> None:
        """Neither read nor say anything until the client has given up."""
        self._over.wait(GENEROUS)

    def tls(self, kind: Kind = Kind.LOCALHOST) -> None:
        """Shake hands; `plaintext` is the way around it from then on."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self._certificates.pair(kind))
        try:
            self._socket = context.wrap_socket(self._socket, server_side=True)
        except OSError as error:
            raise Gone from error

    def plaintext(self, octets: bytes) -> None:
        """Say something in the clear, on a connection that is encrypted."""
        assert isinstance(self._socket, ssl.SSLSocket)
        with socket.socket(fileno=self._socket.detach()) as bare:
            bare.sendall(octets)
            self._over.wait(GENEROUS)

    def hang_up(self) -> None:
        self._socket.close()

    def greet(self, *extensions: str) -> None:
        """Say who we are, and what we offer."""
        self.say(b"220 mx.example.test ESMTP\r\n")
        self.introduce(*extensions)

    def introduce(self, *extensions: str) -> None:
        self.hear()
        lines = ["mx.example.test", *extensions]
        self.say("".join(f"250-{line}\r\n" for line in lines).encode() + b"250 HELP\r\n")

    def take_envelope(self, addresses: int = 1) -> None:
        """MAIL, RCPT and DATA, each accepted."""
        for _ in range(addresses + 1):
            self.hear()
            self.say(b"250 Ok\r\n")
        assert self.hear() == "DATA"
        self.say(b"354 go on\r\n")

    def take_message(self) -> bytes:
        self.take_envelope()
        content = self.hear_content()
        self.say(b"250 2.0.0 Ok\r\n")
        return content

    def _read(self, most: int = 65536) -> None:
        try:
            octets = self._socket.recv(most)
        except OSError as error:
            raise Gone from error
        if not octets:
            raise Gone
        self._buffer += octets


Script = Callable[[Peer], None]


@dataclass
class Server:
    """A script's server; `peer` is there once a client has come."""

    port: int
    peer: Peer | None = None
    failure: BaseException | None = None


class Serve:
    """Starts servers for one test, and sees that their scripts end with it."""

    def __init__(self, certificates: Certificates) -> None:
        self.certificates = certificates
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._servers: list[Server] = []
        self._sockets: list[socket.socket] = []

    def __call__(self, script: Script) -> Server:
        listener = socket.socket()
        # Small, so that a server that does not read is noticed soon.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(GENEROUS)
        server = Server(listener.getsockname()[1])
        thread = threading.Thread(target=self._run, args=(listener, server, script), daemon=True)
        self._sockets.append(listener)
        self._servers.append(server)
        self._threads.append(thread)
        thread.start()
        return server

    def close(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(GENEROUS)
            assert not thread.is_alive()
        for one in self._sockets:
            one.close()
        for server in self._servers:
            if server.failure is not None:
                raise server.failure

    def _run(self, listener: socket.socket, server: Server, script: Script) -> None:
        connection, _ = listener.accept()
        connection.settimeout(GENEROUS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server.peer = Peer(connection, self.certificates, self._over)
        try:
            script(server.peer)
        except Gone:
            pass
        except BaseException as failure:  # shown when the test ends
            server.failure = failure
        finally:
            server.peer.hang_up()
            connection.close()


@pytest.fixture
def serve(certificates: Certificates) -> Iterator[Serve]:
    serving = Serve(certificates)
    yield serving
    serving.close()


def smtp(server: Server, certificates: Certificates, security: Security) -> Smtp:
    values = {"host": "localhost", "port": server.port, "security": security}
    return Smtp.model_validate(values | {"ca_file": str(certificates.ca_file)})


def patient(**timeouts: float) -> Patience:
    """Patient but for the replies that are named."""
    replies = Timeouts(*[GENEROUS] * 7)
    return Patience(connect=GENEROUS, handshake=GENEROUS, replies=replace(replies, **timeouts))


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < GENEROUS / 2, "the client was held"


@contextlib.contextmanager
def in_little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


class Client:
    """What every test does: open, submit, release, and listen until the session is over."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve

    def fails(
        self,
        script: Script,
        match: str,
        *,
        security: Security = Security.NONE,
        login: Login | None = None,
        patience: Patience | None = None,
        permanent: bool = False,
    ) -> Server:
        """Expect that no session can be opened, and these words."""
        server = self._serve(script)
        settings = smtp(server, self._serve.certificates, security)
        with in_time(), pytest.raises(ConnectFailed, match=match) as raised:
            Connection.open(settings, login, patience or patient())
        assert str(raised.value).startswith(f"localhost:{server.port}: ")
        assert raised.value.permanent is permanent
        return server

    def ends(
        self,
        script: Script,
        *messages: Message,
        security: Security = Security.NONE,
        patience: Patience | None = None,
    ) -> tuple[list[Answer], Closed]:
        """Send the messages; return the answers to all their addresses, and the end."""
        server = self._serve(script)
        settings = smtp(server, self._serve.certificates, security)
        with in_time():
            connection = Connection.open(settings, None, patience or patient())
            try:
                return self._converse(connection, deque(messages))
            finally:
                connection.close()

    def _converse(self, connection: Connection, waiting: deque[Message]) -> tuple[list[Answer], Closed]:
        session, answers = connection.session, list[Answer]()
        while True:
            if session.wants_message and waiting:
                session.submit(waiting.popleft())
            elif session.idle and not waiting:
                session.quit()
            events: list[Event] = connection.step(0.1)
            for event in events:
                match event:
                    case BodyDue() if session.closed is None:
                        session.release(event.message)
                    case Settled():
                        answers.extend(event.answers)
                    case Closed():
                        return answers, event


@pytest.fixture
def client(serve: Serve) -> Client:
    return Client(serve)


def message(number: int = 1, size: int = 0, copies: tuple[str, ...] = ()) -> Message:
    content = f"Subject: {number}\r\n\r\n.hello\r\n".encode() + b"0123456789abcd\r\n" * (size // 16)
    envelope = Envelope("news@example.com", (f"u{number}@example.test", *copies))
    return Message(str(number), number, envelope, f"<{number}@example.com>", (content,))


# A server that says too much


def test_a_greeting_that_drips_ends_at_its_deadline(client: Client) -> None:
    client.fails(
        lambda peer: peer.drip(b"220 "),
        "greeting: the server did not answer within 0.5 seconds",
        patience=patient(greeting=0.5),
    )


def test_a_server_that_waits_for_tls_is_told_of_soon(
    serve: Serve, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_SILENCE", 0.1)
    server = serve(lambda peer: peer.tls())
    told: list[tuple[float, str]] = []
    settings = smtp(server, certificates, Security.STARTTLS)
    hint = "; if it speaks TLS from the start, as port 465 does, write `security: tls`"
    with in_time(), pytest.raises(ConnectFailed) as raised:
        Connection.open(
            settings, None, patient(greeting=1.0), on_silence=lambda seconds, why: told.append((seconds, why))
        )
    assert told == [(0.9, f"localhost:{server.port} does not greet us{hint}")]
    assert str(raised.value).endswith(f"greeting: the server did not answer within 1 seconds{hint}")


def test_a_reply_that_drips_leaves_the_message_in_doubt(client: Client) -> None:
    def script(peer: Peer) -> None:
        peer.greet()
        peer.take_envelope()
        peer.hear_content()
        peer.drip(b"250 ")

    (answer,), closed = client.ends(script, message(), patience=patient(final_dot=0.5))
    assert (answer.fate, answer.stage) == (Fate.UNKNOWN, Stage.BODY)
    assert "did not answer within 0.5 seconds" in answer.why
    assert closed.stage is Stage.BODY


def test_a_reply_that_drips_inside_tls_ends_at_its_deadline(client: Client) -> None:
    def script(peer: Peer) -> None:
        peer.tls()
        peer.drip(b"220 ")

    client.fails(
        script,
        "greeting: the server did not answer within 0.5 seconds",
        security=Security.TLS,
        patience=patient(greeting=0.5),
    )


def test_a_reply_of_lines_without_end(client: Client) -> None:
    with in_little_memory():
        client.fails(
            lambda peer: peer.flood(b"220-welcome to a long story\r\n" * 1000, 2000),
            "greeting: the server sent a reply of more than 128 lines",
        )


@pytest.mark.parametrize("security", [Security.NONE, Security.TLS])
def test_a_line_of_fifty_megabytes(client: Client, security: Security) -> None:
    def script(peer: Peer) -> None:
        if security is Security.TLS:
            peer.tls()
        peer.say(b"220 ")
        peer.flood(b"x" * 65536, 800)

    with in_little_memory():
        client.fails(
            script, "greeting: the server sent a reply line of more than 4096 bytes", security=security
        )


def test_replies_that_are_no_text(client: Client) -> None:
    def script(peer: Peer) -> None:
        peer.say(b"220 \xff\xfe\x00\x1b[2J\r\n")
        peer.hear()
        peer.say(b"250-\xe4\r\n250-PIPELINING\r\n250 \x80\r\n")
        for reply in (b"250 \xfc\r\n", b"250 \xe2\x80\xae\r\n", b"354 \xa0\r\n"):
            peer.hear()
            peer.say(reply)
        peer.hear_content()
        peer.say(b"250 2.0.0 \xc3\xa4 \xe4 \x1b[31m\r\n")
        peer.hear()
        peer.say(b"221 \xff\r\n")

    (answer,), closed = client.ends(script, message())
    assert judge(answer) is Verdict.ACCEPTED
    assert answer.reply is not None
    assert answer.reply.text == "250 2.0.0 ä \N{REPLACEMENT CHARACTER} ?[31m"
    assert closed.stage is Stage.QUIT


def test_two_greetings(client: Client) -> None:
    client.fails(
        lambda peer: peer.say(b"220 one\r\n220 two\r\n"), "EHLO: .*a reply that was not asked for: '220 two'"
    )


def test_a_reply_before_it_is_due(client: Client) -> None:
    def script(peer: Peer) -> None:
        peer.greet()
        for _ in range(2):
            peer.hear()
            peer.say(b"250 Ok\r\n")
        peer.hear()
        peer.say(b"354 go on\r\n250 2.0.0 Ok: queued already\r\n")
        peer.stare()

    (answer,), closed = client.ends(script, message())
    assert (answer.fate, answer.stage) == (Fate.UNSENT, Stage.BODY)
    assert closed.why.startswith("the server sent ")


def test_a_reply_to_nothing_between_two_messages(client: Client) -> None:
    def script(peer: Peer) -> None:
        peer.greet()
        peer.take_envelope()
        peer.hear_content()
        peer.say(b"250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n")
        peer.stare()

    (first, second), closed = client.ends(script, message(1), message(2))
    assert judge(first) is Verdict.ACCEPTED
    assert second.fate is Fate.UNSENT
    assert closed.stage is Stage.MAIL
    assert closed.why.startswith("the server sent ")


def test_250_to_everything(client: Client) -> None:
    def script(peer: Peer) -> None:
        peer.greet()
        while True:
            peer.hear()
            peer.say(b"250 Ok\r\n")

    (answer,), closed = client.ends(script, message())
    assert (answer.fate, answer.stage) == (Fate.UNSENT, Stage.DATA)
    assert closed.stage is Stage.DATA
    assert closed.why.startswith("the server sent ")


@pytest.mark.parametrize("security", [Security.NONE, Security.TLS])
def test_250_for_a_dot_that_never_came(client: Client, security: Security) -> None:
    def script(peer: Peer) -> None:
        if security is Security.TLS:
            peer.tls()
        peer.greet()
        peer.take_envelope()
        time.sleep(0.2)  # the content has begun
        peer.say(b"250 2.0.0 Ok\r\n")
        peer.stare()

    (answer,), closed = client.ends(script, message(size=LARGE), security=security)
    assert (answer.fate, answer.stage) == (Fate.UNSENT, Stage.BODY)
    assert closed.why.startswith("the server sent ")


def test_a_refusal_of_a_message_that_is_still_leaving(client: Client) -> None:
    def script(peer: Peer) -> None:
        peer.greet()
        peer.take_envelope()
        time.sleep(0.2)
        peer.say(b"552 5.3.4 too big\r\n")
        peer.stare()

    (answer,), closed = client.ends(script, message(size=LARGE))
    assert judge(answer) is Verdict.REFUSED
    assert closed.stage is Stage.BODY
    assert not closed.why.startswith("the server sent ")


def test_what_needs_no_answer_is_settled_without_waiting_for_one(serve: Serve) -> None:
    def script(peer: Peer) -> None:
        peer.greet("SIZE 1000")
        peer.stare()

    server = serve(script)
    connection = Connection.open(smtp(server, serve.certificates, Security.NONE), None, patient())
    connection.session.submit(message(size=2000))
    with in_time():
        (settled,) = connection.step(GENEROUS)
    connection.close()
    assert isinstance(settled, Settled)
    assert judge(settled.answers[0]) is Verdict.REFUSED


def test_354_without_recipients(client: Client) -> None:
    contents: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.greet("PIPELINING")
        peer.hear()
        peer.say(b"250 Ok\r\n")
        peer.hear()
        peer.say(b"550 5.1.1 no such user\r\n")
        assert peer.hear() == "DATA"
        peer.say(b"354 go on\r\n")
        contents.append(peer.hear_content())
        peer.say(b"554 5.5.1 no valid recipients\r\n")
        contents.append(peer.take_message())

    (refused, accepted), closed = client.ends(script, message(1), message(2))
    assert (judge(refused), refused.stage) == (Verdict.REFUSED, Stage.RCPT)
    assert judge(accepted) is Verdict.ACCEPTED
    assert contents == [b"", b"Subject: 2\r\n\r\n..hello"]
    assert closed.stage is Stage.QUIT


# A server that says nothing


def to_ehlo(peer: Peer) -> None:
    peer.say(b"220 mx.example.test\r\n")
    peer.hear()


def to_starttls(peer: Peer) -> None:
    peer.greet("STARTTLS")
    peer.hear()


def to_handshake(peer: Peer) -> None:
    to_starttls(peer)
    peer.say(b"220 go ahead\r\n")


def to_inner_ehlo(peer: Peer) -> None:
    to_handshake(peer)
    peer.tls()
    peer.hear()


def to_auth(peer: Peer) -> None:
    peer.tls()
    peer.greet("AUTH PLAIN")
    peer.hear()


@pytest.mark.parametrize(
    ("script", "stage", "security", "impatience"),
    [
        (lambda peer: None, "greeting", Security.NONE, "greeting"),
        (to_ehlo, "EHLO", Security.NONE, "command"),
        (to_starttls, "STARTTLS", Security.STARTTLS, "command"),
        (to_inner_ehlo, "EHLO", Security.STARTTLS, "command"),
        (to_auth, "AUTH", Security.TLS, "command"),
    ],
    ids=["greeting", "EHLO", "STARTTLS", "EHLO inside TLS", "AUTH"],
)
def test_silence_before_the_session_is_open(
    client: Client, script: Script, stage: str, security: Security, impatience: str
) -> None:
    def silent(peer: Peer) -> None:
        script(peer)
        peer.stare()

    client.fails(
        silent,
        f"{stage}: the server did not answer within 1 seconds",
        security=security,
        login=LOGIN if script is to_auth else None,
        patience=patient(**{impatience: 1.0}),
    )


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
def test_silence_in_the_handshake(client: Client, security: Security) -> None:
    def script(peer: Peer) -> None:
        if security is Security.STARTTLS:
            to_handshake(peer)
        peer.stare()

    client.fails(
        script,
        "the TLS handshake was not finished within 0.5 seconds",
        security=security,
        patience=replace(patient(), handshake=0.5),
    )


def to_mail(peer: Peer) -> None:
    peer.greet()
    peer.hear()


def to_rcpt(peer: Peer) -> None:
    to_mail(peer)
    peer.say(b"250 Ok\r\n")
    peer.hear()


def to_data(peer: Peer) -> None:
    to_rcpt(peer)
    peer.say(b"250 Ok\r\n")
    peer.hear()


def to_dot(peer: Peer) -> None:
    to_data(peer)
    peer.say(b"354 go on\r\n")
    peer.hear_content()


@pytest.mark.parametrize(
    ("script", "stage", "fate", "impatience"),
    [
        (to_mail, Stage.MAIL, Fate.UNSENT, "command"),
        (to_rcpt, Stage.RCPT, Fate.UNSENT, "command"),
        (to_data, Stage.DATA, Fate.UNSENT, "data"),
        (to_dot, Stage.BODY, Fate.UNKNOWN, "final_dot"),
    ],
    ids=["MAIL", "RCPT", "DATA", "dot"],
)
def test_silence_in_a_transaction(
    client: Client, script: Script, stage: Stage, fate: Fate, impatience: str
) -> None:
    def silent(peer: Peer) -> None:
        script(peer)
        peer.stare()

    (answer,), closed = client.ends(silent, message(), patience=patient(**{impatience: 1.0}))
    assert (answer.fate, answer.stage, closed.stage) == (fate, stage, stage)
    assert answer.why == "the server did not answer within 1 seconds"


def test_silence_at_rset_and_at_quit(client: Client) -> None:
    def refusing(peer: Peer) -> None:
        to_rcpt(peer)
        peer.say(b"550 5.1.1 no such user\r\n")
        assert peer.hear() == "RSET"
        peer.stare()

    (first, second), closed = client.ends(refusing, message(1), message(2), patience=patient(rset=0.5))
    assert judge(first) is Verdict.REFUSED
    assert (second.fate, closed.stage) == (Fate.UNSENT, Stage.RSET)

    def staring(peer: Peer) -> None:
        peer.greet()
        peer.take_message()
        assert peer.hear() == "QUIT"
        peer.stare()

    (answer,), closed = client.ends(staring, message(), patience=patient(quit=0.5))
    assert judge(answer) is Verdict.ACCEPTED
    assert closed.stage is Stage.QUIT


def test_quit_does_not_wait_for_ever(serve: Serve) -> None:
    def script(peer: Peer) -> None:
        peer.greet()
        peer.hear()
        peer.drip(b"221 ")

    server = serve(script)
    connection = Connection.open(smtp(server, serve.certificates, Security.NONE), None, patient(quit=0.5))
    with in_time():
        connection.quit()
    assert connection.session.closed is not None
    assert connection.session.closed.stage is Stage.QUIT


@pytest.mark.parametrize("security", [Security.NONE, Security.TLS])
def test_a_server_that_does_not_read(client: Client, security: Security) -> None:
    def script(peer: Peer) -> None:
        if security is Security.TLS:
            peer.tls()
        peer.greet()
        peer.take_envelope()
        peer.stare()

    (answer,), closed = client.ends(
        script, message(size=LARGE), security=security, patience=patient(block=0.5)
    )
    assert (answer.fate, answer.stage) == (Fate.UNSENT, Stage.BODY)
    assert closed.why == "the server stopped taking what we send"


def test_a_server_that_reads_a_byte_at_a_time(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_SLOWEST", 1 << 30)  # else it would be minutes

    def script(peer: Peer) -> None:
        peer.greet()
        peer.take_envelope()
        peer.read_slowly()

    (answer,), closed = client.ends(script, message(size=LARGE), patience=patient(block=1.0))
    assert answer.fate is Fate.UNSENT
    assert closed.why == "the server stopped taking what we send"


def test_a_reply_that_begins_before_the_message_has_left(client: Client) -> None:
    def script(peer: Peer) -> None:
        peer.greet()
        peer.take_envelope()
        peer.say(b"250-2.0.0 so far\r\n250 2.0")
        peer.hear_content()
        peer.say(b".0 Ok\r\n")

    (answer,), _ = client.ends(script, message(size=LARGE))
    assert judge(answer) is Verdict.ACCEPTED


# A server that hangs up


def test_a_connection_that_ends_at_once(client: Client) -> None:
    client.fails(lambda peer: None, "greeting: (the server closed the connection|the connection broke)")


def test_nobody_listens() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        settings = Smtp.model_validate({"host": "127.0.0.1", "port": port, "security": Security.NONE})
        with pytest.raises(ConnectFailed, match=f"cannot connect to 127.0.0.1:{port}") as raised:
            Connection.open(settings, None)
    assert not raised.value.permanent


@pytest.mark.parametrize("security", [Security.NONE, Security.TLS])
def test_hanging_up_while_a_message_leaves(client: Client, security: Security) -> None:
    def script(peer: Peer) -> None:
        if security is Security.TLS:
            peer.tls()
        peer.greet("PIPELINING")
        peer.take_envelope()

    answers, closed = client.ends(script, message(1, size=LARGE), message(2), security=security)
    assert [answer.fate for answer in answers] == [Fate.UNSENT, Fate.UNSENT]
    assert closed.stage is Stage.BODY


@pytest.mark.parametrize("security", [Security.NONE, Security.TLS])
def test_hanging_up_when_a_message_has_left(client: Client, security: Security) -> None:
    def script(peer: Peer) -> None:
        if security is Security.TLS:
            peer.tls()
        peer.greet("PIPELINING")
        peer.take_envelope(addresses=2)
        peer.hear_content()

    own_and_copy = message(1, copies=("copy@example.test",))
    answers, closed = client.ends(script, own_and_copy, message(2), security=security)
    assert [(answer.address, answer.fate) for answer in answers] == [
        ("u1@example.test", Fate.UNKNOWN),
        ("copy@example.test", Fate.UNKNOWN),
        ("u2@example.test", Fate.UNSENT),
    ]
    assert closed.stage is Stage.BODY


def test_the_last_words_before_hanging_up_are_heard(serve: Serve) -> None:
    said = threading.Event()

    def script(peer: Peer) -> None:
        peer.greet()
        said.wait(GENEROUS)
        peer.say(b"421 4.4.2 timeout exceeded\r\n")

    server = serve(script)
    connection = Connection.open(smtp(server, serve.certificates, Security.NONE), None, patient())
    said.set()
    for _ in range(3):  # until the kernel says that nobody is there
        time.sleep(0.1)
        connection.transport.send(b"NOOP\r\n", GENEROUS)
    (closed,) = connection.step(GENEROUS)
    connection.close()
    assert isinstance(closed, Closed)
    assert closed.why == "the server closed the session: 421 4.4.2 timeout exceeded"


def test_a_session_that_is_taken_back_as_it_opens(client: Client) -> None:
    def script(peer: Peer) -> None:
        peer.say(b"220 mx.example.test\r\n")
        peer.hear()
        peer.say(b"250 mx.example.test\r\n421 4.7.0 too many sessions\r\n")
        peer.stare()

    client.fails(script, "the server closed the session: 421 4.7.0 too many sessions")


# TLS


@pytest.mark.parametrize(
    ("kind", "match"),
    [
        (Kind.WRONG_NAME, "the certificate of localhost is made out to another name: .*smtp.host"),
        (Kind.EXPIRED, "the certificate of localhost has expired"),
        (Kind.SELF_SIGNED, "the certificate of localhost is self-signed: .*smtp.ca_file"),
    ],
)
@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
def test_a_certificate_that_is_wrong(client: Client, security: Security, kind: Kind, match: str) -> None:
    def script(peer: Peer) -> None:
        if security is Security.STARTTLS:
            to_handshake(peer)
        peer.tls(kind)
        peer.greet("AUTH PLAIN")
        peer.hear()

    server = client.fails(script, match, security=security, login=LOGIN, permanent=True)
    assert server.peer is not None
    assert not any(line.startswith("AUTH") for line in server.peer.heard)


def test_starttls_that_somebody_has_stripped(client: Client) -> None:
    def script(peer: Peer) -> None:
        peer.greet("AUTH PLAIN", "SIZE 1000000")
        peer.hear()

    server = client.fails(
        script,
        "STARTTLS: the server does not offer STARTTLS",
        security=Security.STARTTLS,
        login=LOGIN,
        permanent=True,
    )
    assert server.peer is not None
    assert [line.split()[0] for line in server.peer.heard] == ["EHLO"]


def test_replies_injected_with_the_answer_to_starttls(client: Client) -> None:
    def script(peer: Peer) -> None:
        to_starttls(peer)
        peer.say(b"220 go ahead\r\n250-mx.example.test\r\n250 AUTH PLAIN\r\n")
        peer.stare()

    client.fails(
        script,
        "STARTTLS: bytes were injected",
        security=Security.STARTTLS,
        login=LOGIN,
        permanent=True,
    )


def test_replies_injected_into_the_handshake(client: Client) -> None:
    def script(peer: Peer) -> None:
        to_handshake(peer)
        time.sleep(0.2)
        peer.say(b"250-mx.example.test\r\n250 AUTH PLAIN\r\n")
        peer.stare()

    client.fails(script, "the TLS handshake failed", security=Security.STARTTLS, login=LOGIN)


def test_a_server_that_starts_in_the_clear(client: Client) -> None:
    client.fails(
        lambda peer: peer.greet(),
        "the TLS handshake failed: wrong version number; .*write `security: starttls`",
        security=Security.TLS,
    )


def test_hanging_up_in_the_handshake(client: Client) -> None:
    client.fails(to_handshake, "the TLS handshake failed", security=Security.STARTTLS)


@pytest.mark.parametrize(
    ("script", "stage", "fate"),
    [(to_mail, Stage.MAIL, Fate.UNSENT), (to_dot, Stage.BODY, Fate.UNKNOWN)],
    ids=["MAIL", "dot"],
)
def test_plaintext_inside_tls(client: Client, script: Script, stage: Stage, fate: Fate) -> None:
    """Exim's last words: they cannot be told from anybody else's, and are no answer."""

    def plain(peer: Peer) -> None:
        peer.tls()
        script(peer)
        peer.plaintext(b"421 4.3.2 bye\r\n250 2.0.0 Ok\r\n")

    (answer,), closed = client.ends(plain, message(), security=Security.TLS)
    assert (answer.fate, answer.stage, closed.stage) == (fate, stage, stage)
    assert closed.why.startswith("TLS broke off")


def test_half_a_tls_record(client: Client) -> None:
    def script(peer: Peer) -> None:
        peer.tls()
        to_dot(peer)
        peer.plaintext(b"\x17\x03\x03\x00\x40" + b"\x00" * 20)

    (answer,), closed = client.ends(script, message(), security=Security.TLS, patience=patient(final_dot=0.5))
    assert (answer.fate, closed.stage) == (Fate.UNKNOWN, Stage.BODY)
