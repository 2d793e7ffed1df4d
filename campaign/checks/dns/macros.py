"""Expand SPF macros (RFC 7208 7): `%{ir}.%{v}._spf.%{d2}` and a connection → a domain name."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

_MACRO = re.compile(r"%(?:\{([slodiphv])([0-9]{0,3})(r?)([.\-+,/_=]*)\}|([%_-]))", re.IGNORECASE)
_LITERAL = {"%": "%", "_": " ", "-": "%20"}
_LONGEST = 253  # octets of a name (7.3)


@dataclass(frozen=True, slots=True)
class Connection:
    """What a receiver knows about a mail: the address in MAIL, the client's IP, the name in EHLO."""

    sender: str
    ip: str
    helo: str


def expand(text: str, connection: Connection, domain: str) -> str:
    """Return the domain name that `text` expands to, in lower case without a final dot.

    A name that is too long loses labels on the left (7.3).
    """
    name = _MACRO.sub(lambda found: _expanded(found, connection, domain), text).rstrip(".").lower()
    while len(name) > _LONGEST and "." in name:
        name = name.partition(".")[2]
    return name


def _expanded(found: re.Match[str], connection: Connection, domain: str) -> str:
    if found[5]:
        return _LITERAL[found[5]]
    local, _, sender_domain = connection.sender.rpartition("@")
    address = ipaddress.ip_address(connection.ip)
    value = {
        "s": connection.sender,
        "l": local or "postmaster",
        "o": sender_domain,
        "d": domain,
        "i": str(address) if address.version == 4 else ".".join(address.exploded.replace(":", "")),
        "p": "unknown",  # 7.3 advises against it; no validated name is looked up
        "h": connection.helo,
        "v": "in-addr" if address.version == 4 else "ip6",
    }[found[1].lower()]
    parts = re.split(f"[{re.escape(found[4] or '.')}]", value)
    if found[3]:
        parts.reverse()
    kept = int(found[2] or 0)
    return ".".join(parts[-kept:] if kept else parts)
