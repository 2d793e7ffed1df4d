"""A DNS server on loopback, UDP, whose records are a dictionary."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

Zone = Mapping[tuple[str, str], "list[str] | None"]
"""(name, type) → the records as a zone file has them; None is SERVFAIL."""


def txt(text: str) -> str:
    """Return a TXT record's text, in strings of at most 255 octets (RFC 1035 3.3.14)."""
    pieces = [text[at : at + 200] for at in range(0, len(text), 200)] or [""]
    return " ".join('"' + piece.replace('"', '\\"') + '"' for piece in pieces)


@contextmanager
def serve(zone: Zone, asked: list[tuple[str, str]] | None = None) -> Iterator[str]:
    """Answer from `zone` on loopback, and yield `ADDRESS:PORT`; `asked` collects the questions."""
    names = {name for name, _ in zone}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def answer() -> None:
            while True:
                octets, peer = server.recvfrom(4096)
                if not octets:
                    return
                server.sendto(_answer(octets, zone, names, asked), peer)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.sendto(b"", server.getsockname())
            thread.join()


def _answer(octets: bytes, zone: Zone, names: set[str], asked: list[tuple[str, str]] | None) -> bytes:
    query = dns.message.from_wire(octets)
    question = query.question[0]
    name, kind = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
    if asked is not None:
        asked.append((name, kind))
    response = dns.message.make_response(query)
    response.flags |= dns.flags.RA
    records = zone.get((name, kind), [])
    if records is None:
        response.set_rcode(dns.rcode.SERVFAIL)
    elif records:
        response.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *records))
    elif not any(known == name or known.endswith(f".{name}") for known in names):
        response.set_rcode(dns.rcode.NXDOMAIN)
    return response.to_wire(max_size=65535)
