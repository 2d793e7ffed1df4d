"""Look up DNS records. "No such record" is an answer; if there is no answer, `Unknown` is raised."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.TXT import TXT

from campaign.errors import CampaignError, UserError

LIFETIME = 5.0
"""Seconds that one lookup may take, including retries."""


class Unknown(CampaignError):
    """A lookup had no answer: a timeout, SERVFAIL, no network. It says nothing about the name."""


@dataclass(frozen=True, slots=True)
class Records:
    """The records of one type at a name; `exists` is false if there is no such name (NXDOMAIN)."""

    values: tuple[str, ...]
    exists: bool = True


class Lookup:
    """A resolver that looks up each name once: the system's, or the one at `nameserver`.

    `nameserver` is an IP address, optionally with a port: `127.0.0.1:5353`, `[::1]:5353`. Raises UserError
    if it is not, or if the system has no resolver.
    """

    def __init__(self, nameserver: str | None = None) -> None:
        try:
            self._resolver = dns.resolver.Resolver(configure=nameserver is None)
            if nameserver is not None:
                address, port = _split(nameserver)
                self._resolver.port = port
                self._resolver.nameservers = [address]
        except (dns.exception.DNSException, OSError):
            raise UserError("this system names no DNS resolver (/etc/resolv.conf)") from None
        except ValueError:
            what = f"{nameserver!r} is no IP address of a DNS server, such as 192.0.2.53 or 192.0.2.53:5353"
            raise UserError(what) from None
        self._resolver.lifetime = LIFETIME
        self._asked = lru_cache(maxsize=None)(self._ask)

    def txt(self, name: str) -> Records:
        """Return the TXT records, each with its strings joined (RFC 7208 3.3). Raises Unknown."""
        return self._asked(name, "TXT")

    def mx(self, name: str) -> Records:
        """Return the names of the mail exchangers, the most preferred first. Raises Unknown."""
        return self._asked(name, "MX")

    def addresses(self, name: str) -> Records:
        """Return the IPv4 and IPv6 addresses. Raises Unknown."""
        four, six = self._asked(name, "A"), self._asked(name, "AAAA")
        return Records(four.values + six.values, four.exists)

    def _ask(self, name: str, kind: str) -> Records:
        try:
            answer = self._resolver.resolve(dns.name.from_text(name), kind, search=False)
        except dns.resolver.NXDOMAIN:
            return Records((), exists=False)
        except (dns.resolver.NoAnswer, dns.name.LabelTooLong, dns.name.NameTooLong, dns.name.EmptyLabel):
            return Records(())
        except (dns.exception.DNSException, OSError) as error:
            raise Unknown(f"{name} ({kind}) could not be looked up: {_reason(error)}") from None
        records = sorted(answer, key=lambda one: one.preference if isinstance(one, MX) else 0)
        return Records(tuple(map(_text, records)))


def _text(record: object) -> str:
    if isinstance(record, TXT):
        return b"".join(record.strings).decode("utf-8", "replace")
    if isinstance(record, MX):
        return record.exchange.to_text(omit_final_dot=True) or "."
    return str(record)


def _reason(error: Exception) -> str:
    if isinstance(error, dns.exception.Timeout):
        return f"no answer within {LIFETIME:g} seconds"
    if isinstance(error, dns.resolver.NoNameservers):
        return "the DNS server failed (SERVFAIL or refused)"
    return str(error) or type(error).__name__


def _split(nameserver: str) -> tuple[str, int]:
    """Return the address and the port of `ADDRESS`, `ADDRESS:PORT` or `[ADDRESS]:PORT`. Raises ValueError."""
    import ipaddress

    address, port = nameserver, ""
    if nameserver.startswith("["):
        address, _, port = nameserver[1:].partition("]")
        port = port.removeprefix(":")
    elif nameserver.count(":") == 1:
        address, _, port = nameserver.partition(":")
    number = int(port or 53)
    if not 0 < number < 65536:
        raise ValueError(port)
    return str(ipaddress.ip_address(address)), number
