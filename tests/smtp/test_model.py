"""The session against a model server that refuses, delays, splits and disconnects at random.

The model knows what was really delivered, so the session's results can be compared with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import cycle, islice

from hypothesis import given, settings
from hypothesis import strategies as st

from campaign.delivery import Envelope, Fate, Message, Settled, Stage
from campaign.smtp.events import BodyDue
from campaign.smtp.session import Session


@dataclass
class ModelServer:
    """The rules of an SMTP server, with faults drawn from a list of choices."""

    faults: list[str]
    pipelining: bool
    chunking: bool = False
    delivered: list[tuple[str, str]] = field(default_factory=list)  # (key, address)
    buffer: bytes = b""
    sender: bool = False
    recipients: list[str] = field(default_factory=list)
    content: bytes | None = None
    gone: bool = False
    chunk: int | None = None  # octets of BDAT that follow

    def fault(self) -> str:
        return self.faults.pop() if self.faults else ""

    def take(self, octets: bytes) -> bytes:
        """Take what the client wrote, and return the replies."""
        self.buffer += octets
        replies = b""
        while not self.gone:
            if self.chunk is not None:
                if len(self.buffer) < self.chunk:
                    break
                content, self.buffer = self.buffer[: self.chunk], self.buffer[self.chunk :]
                self.chunk = None
                replies += self.bdat(content)
            elif b"\r\n" in self.buffer:
                line, self.buffer = self.buffer.split(b"\r\n", 1)
                replies += self.content_line(line) if self.content is not None else self.command(line)
            else:
                break
        return replies

    def bdat(self, content: bytes) -> bytes:
        """Read the content's octets in any case (RFC 3030 2)."""
        if not self.recipients:
            return b"554 5.5.1 no valid recipients\r\n"
        self.content = content
        if self.faults and self.faults[-1] == "503":
            self.faults.pop()
            self.content, self.sender, self.recipients = None, False, []
            return b"503 5.5.1 what\r\n"
        return self.content_line(b".")

    def content_line(self, line: bytes) -> bytes:
        assert self.content is not None
        if line != b".":
            self.content += line.removeprefix(b".") + b"\r\n"
            return b""
        fault = self.fault()
        key = self.content.partition(b"\r\n")[0].removeprefix(b"Subject: ").decode()
        recipients, self.content, self.sender, self.recipients = self.recipients, None, False, []
        if fault == "drop-before":
            self.gone = True
            return b""
        if fault in ("4xx", "5xx", "421"):
            self.gone = fault == "421"
            return {"4xx": b"452 4.3.1 full\r\n", "5xx": b"554 5.7.1 no\r\n", "421": b"421 bye\r\n"}[fault]
        self.delivered += [(key, address) for address in recipients]
        if fault == "drop-after":
            self.gone = True
            return b""
        if fault == "nonsense":
            self.gone = True
            return b"354 go on\r\n"
        return b"250 2.0.0 Ok\r\n"

    def command(self, line: bytes) -> bytes:
        verb = line.split()[0].upper()
        if verb == b"EHLO":
            offered = [b"PIPELINING"] * self.pipelining + [b"CHUNKING"] * self.chunking
            return b"".join([b"250-model\r\n", *(b"250-%b\r\n" % word for word in offered), b"250 HELP\r\n"])
        if verb == b"QUIT":
            self.gone = True
            return b"221 bye\r\n"
        if verb == b"RSET":
            self.sender, self.recipients = False, []
            return b"250 Ok\r\n"
        if verb == b"BDAT":
            self.chunk = int(line.split()[1])
            return b""
        if line == b"RCPT TO:<>":
            return b"501 5.1.3 Bad recipient address syntax\r\n"
        fault = self.fault()
        if fault.startswith("drop"):
            self.gone = True
            return b""
        if fault == "421":
            self.gone = True
            return b"421 4.3.2 bye\r\n"
        if fault == "nonsense":
            self.gone = True
            return b"222 what\r\n299-x\r\nhello\r\n"
        refused = {"4xx": b"450 4.2.1 later\r\n", "5xx": b"550 5.1.1 no\r\n"}.get(fault)
        if verb == b"MAIL":
            assert not self.recipients
            if refused is None:
                assert not self.sender, "MAIL inside a transaction"
                self.sender = True
            return refused or b"250 Ok\r\n"
        if verb == b"RCPT":
            if not self.sender:
                return b"503 5.5.1 MAIL first\r\n"
            if refused is None:
                self.recipients.append(line.partition(b"<")[2].rstrip(b">").decode())
            return refused or b"250 Ok\r\n"
        assert verb == b"DATA", line
        if fault == "lenient":  # 354 whether or not a recipient was accepted
            self.content = b""
            return b"354 go on\r\n"
        if not self.recipients:
            return b"554 5.5.1 no valid recipients\r\n"
        if refused is None:
            self.content = b""
        return refused or b"354 go on\r\n"


FAULTS = st.lists(
    st.sampled_from(
        ["", "", "", "", "4xx", "5xx", "421", "503", "drop-before", "drop-after", "nonsense", "lenient"]
    ),
    max_size=24,
)


@settings(max_examples=600)
@given(
    faults=FAULTS,
    pipelining=st.booleans(),
    chunking=st.booleans(),
    window=st.integers(1, 4),
    sizes=st.lists(st.sampled_from([1, 1, 1, 2, 3]), min_size=1, max_size=8),
    chunks=st.lists(st.integers(1, 40), min_size=1, max_size=8),
    unsent=st.integers(0, 60),
)
def test_what_the_session_says_is_what_happened(
    faults: list[str],
    pipelining: bool,
    chunking: bool,
    window: int,
    sizes: list[int],
    chunks: list[int],
    unsent: int,
) -> None:
    server = ModelServer(list(reversed(faults)), pipelining, chunking)
    messages = [
        Message(
            str(number),
            number,
            Envelope("news@example.com", tuple(f"u{number}-{i}@example.test" for i in range(size))),
            f"<{number}@example.com>",
            (f"Subject: {number}\r\n\r\n.dot\r\n..\r\n".encode(),),
        )
        for number, size in enumerate(sizes)
    ]
    session = Session("client.example", window=window)
    waiting = list(messages)
    settled: dict[str, Settled] = {}
    announced: set[str] = set()
    released: set[str] = set()
    replies = b"220 model\r\n"
    for chunk in islice(cycle(chunks), 3000):
        heard, replies = replies[:chunk], replies[chunk:]
        if server.gone and not heard:
            # The connection is gone; what of our last writing had left is for the test to say, but
            # what the model has taken has left.
            events = session.lost("gone", min(unsent, len(server.buffer)))
        else:
            events = session.receive(heard)
        for event in events:
            if isinstance(event, Settled):
                assert event.message.key not in settled
                settled[event.message.key] = event
            elif isinstance(event, BodyDue):
                assert event.message.key not in announced, "two contents for one key"
                announced.add(event.message.key)
                if session.closed is None:
                    session.release(event.message)
                    released.add(event.message.key)
        while waiting and session.room and session.fits_window(waiting[0]):
            released.add(waiting[0].key)
            session.send(waiting.pop(0))
        assert len(released - set(settled)) <= (window if pipelining and chunking else 1)
        if session.wants_message and waiting:
            session.submit(waiting.pop(0))
        elif session.opened and session.idle and not waiting:
            session.quit()
        octets = session.data_to_send()
        for message in messages:
            if message.key not in released:
                assert f"Subject: {message.key}\r".encode() not in octets, "content before its announcement"
        replies += server.take(octets)
        if session.closed is not None:
            break
    assert session.closed is not None
    assert session.idle
    delivered = server.delivered
    assert len(delivered) == len(set(delivered)), "delivered twice"
    for message in messages:
        if message.key not in settled:
            assert message in waiting
            continue
        for answer in settled[message.key].answers:
            arrived = (message.key, answer.address) in delivered
            match answer.fate:
                case Fate.ANSWERED:
                    assert answer.reply is not None
                    accepted = answer.stage is Stage.BODY and answer.reply.positive
                    assert accepted == arrived
                    assert accepted or answer.reply.code >= 400
                case Fate.UNSENT:
                    assert not arrived
                case Fate.UNKNOWN:
                    assert message.key in released
    keys = {message.key for message in messages}
    assert {key for key, _ in delivered} <= keys, "an empty message was delivered"
