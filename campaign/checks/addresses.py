"""Questions that rules ask about web addresses: the host, and whether others can reach it."""

from __future__ import annotations

import re

_OF_THIS_MACHINE = re.compile(
    r"file:|(?:https?:)?//(?:[^/?#@]*@)?(?:localhost|127\.[0-9.]+|0\.0\.0\.0|\[::1?\])(?=[:/?#]|$)|[a-z]:[\\/]",
    re.IGNORECASE,
)
_OWN_NAME = re.compile(r"[\w-]+|(?:[\w-]+\.)+(?:local|lan|internal|intranet|home|corp|home\.arpa)")
_OWN_ADDRESS = re.compile(r"(?:10(?:\.\d{1,3})?|192\.168|172\.(?:1[6-9]|2\d|3[01]))(?:\.\d{1,3}){2}")
_HOST = re.compile(r"(?:https?:)?//(?:[^/?#@\s]*@)?([^/?#:\s]+)", re.IGNORECASE)


def is_of_this_machine(address: str) -> bool:
    """Whether an address works on this machine only: `file:`, localhost, a drive letter."""
    return _OF_THIS_MACHINE.match(address) is not None


def is_of_own_network(host: str) -> bool:
    """Whether a host is in a private network: a name without a dot, `.local`, 192.168.1.2.

    Names by RFC 6762 G and RFC 8375, addresses by RFC 1918.
    """
    return _OWN_NAME.fullmatch(host) is not None or _OWN_ADDRESS.fullmatch(host) is not None


def host_of(address: str) -> str:
    """Return the host of an http or https address in lower case, or ""."""
    found = _HOST.match(address)
    return found[1].lower().rstrip(".") if found is not None else ""


def same_site(one: str, other: str) -> bool:
    """Whether two hosts are the same, or one is in the other's domain, both without `www.`."""
    one, other = one.removeprefix("www."), other.removeprefix("www.")
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")
