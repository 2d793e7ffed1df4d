"""Mail addresses: one addr-spec, or one mailbox with its display name (RFC 5322 3.4).

Domains are normalised to lower-case A-labels by IDNA 2008 (the `idna` package; the standard
library's codec turns straße.de into strasse.de, another owner's), each once, as most lists name few
domains and many people. Reserved names such as .test are taken: whether a domain can get mail is
the server's to say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import idna

MAX_LOCAL = 64  # RFC 5321 4.5.3.1.1, in octets
MAX_ADDRESS = 254  # RFC 5321 4.5.3.1.3: a path of 256 octets, less its angle brackets

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010FFFF-]"  # RFC 6531 3.3 adds all of UTF-8
_DOT_ATOM = re.compile(rf"{_ATEXT}+(?:\.{_ATEXT}+)*")
_QUOTED = re.compile(r'"(?:[ !#-\[\]-~\u0080-\U0010FFFF]|\\[ -~])*"')
# Controls, separators that break lines, bidirectional marks, and lone surrogates.
_FORBIDDEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_NAME_AND_ADDRESS = re.compile(r"(?P<name>.*?)\s*<(?P<address>[^<>]*)>", re.DOTALL)


class AddressError(ValueError):
    """The text is no address; the message is a sentence for a person."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A display name, "" for none, and a normalised addr-spec."""

    name: str
    address: str


def parse_address(text: str) -> str:
    """Return the one addr-spec in `text`, its domain in lower-case A-labels.

    White space around it is dropped; the local part is kept as it is. Raises AddressError.
    """
    address = text.strip()
    if not address:
        raise AddressError("the address is blank")
    forbidden = _FORBIDDEN.search(address)
    if forbidden is not None:
        raise AddressError(f"the address holds the control character U+{ord(forbidden[0]):04X}")
    local, at, domain = address.rpartition("@")
    if not at:
        raise AddressError(f"{address!r} has no @")
    if _DOT_ATOM.fullmatch(local) is None and _QUOTED.fullmatch(local) is None:
        raise AddressError(_why_not_local(address, local))
    if len(local.encode()) > MAX_LOCAL:
        raise AddressError(f"the part before the @ has more than {MAX_LOCAL} bytes: {address[:80]!r}")
    normalised = f"{local}@{_domain(domain)}"
    if len(normalised.encode()) > MAX_ADDRESS:
        raise AddressError(f"the address has more than {MAX_ADDRESS} bytes: {address[:80]!r}")
    return normalised


def parse_mailbox(text: str) -> Mailbox:
    """Read `Example News <news@example.com>`, `"Smith, Jane" <jane@example.com>` or a bare address.

    Raises AddressError.
    """
    match = _NAME_AND_ADDRESS.fullmatch(text.strip())
    if match is None:
        return Mailbox("", parse_address(text))
    name = match["name"]
    if len(name) > 1 and name.startswith('"') and name.endswith('"'):
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    forbidden = _FORBIDDEN.search(name)
    if forbidden is not None:
        raise AddressError(f"the name holds the control character U+{ord(forbidden[0]):04X}")
    if "@" in name and "," in name:
        raise AddressError(f"{text.strip()!r} holds two addresses, and one is expected")
    return Mailbox(name, parse_address(match["address"]))


def needs_smtputf8(address: str) -> bool:
    """Whether the address travels only with SMTPUTF8 (RFC 6531): its local part is not ASCII."""
    return not address.isascii()


def fold(address: str) -> str:
    """Return the form in which two addresses are compared: nobody gives two people one such form."""
    return address.strip().casefold()


def domain_of(address: str) -> str:
    """Return the domain of a normalised address."""
    return address.rpartition("@")[2]


def display_domain(domain: str) -> str:
    """Return a domain as its owner writes it, for people."""
    try:
        return idna.decode(domain)
    except idna.IDNAError:
        return domain


@lru_cache(maxsize=10_000)
def _domain(domain: str) -> str:
    if domain.startswith("["):
        raise AddressError(f"{domain} is an address literal; write the domain's name")
    if not domain:
        raise AddressError("nothing stands behind the @")
    if "." not in domain.strip("."):
        raise AddressError(f"the domain {domain!r} has no dot: a name such as example.com is expected")
    try:
        encoded = idna.encode(domain, uts46=True, transitional=False).decode().lower()
    except (idna.IDNAError, UnicodeError) as error:
        raise AddressError(f"{domain!r} is no domain: {error}") from None
    if encoded.endswith("."):
        raise AddressError(f"the domain {domain!r} ends in a dot")
    # RFC 3696 2: a top-level domain is never all digits, which an IPv4 address is.
    if encoded.rpartition(".")[2].isdigit():
        raise AddressError(f"{domain!r} is a number; write the domain's name")
    return encoded


def _why_not_local(address: str, local: str) -> str:
    if not local:
        return f"nothing stands before the @ in {address!r}"
    if "@" in local and re.search(r"[,;\s]", local):
        return f"{address!r} holds two addresses; one cell, one address"
    if "<" in address:
        return f"{address!r} holds a name; put it into a column of its own and name it in `recipients.name`"
    if local.lower().startswith("mailto:"):
        return f"{address!r} begins with mailto:; write the address alone"
    if re.search(r"\s", local):
        return f"{address!r} has white space in it"
    if local.startswith(".") or local.endswith(".") or ".." in local:
        return f"{address!r} has a dot too many before the @"
    return f"{address!r} has a character before the @ that no address has"
