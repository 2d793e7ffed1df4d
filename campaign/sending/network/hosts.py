"""Converts `smtp.host` to the name for the DNS lookup, and to the name in the server's certificate."""

from __future__ import annotations

from campaign.errors import ConnectFailed


def lookup_name(host: str) -> str:
    """Return the name in ASCII, or an address without its brackets.

    The standard library encodes by IDNA 2003, which turns straße.example into strasse.example: that name
    can have another owner, with a certificate for it. Raises ConnectFailed for an invalid name.
    """
    if host.isascii():
        return host.strip("[]")
    import idna  # slow to load, and few hosts need it

    try:
        return idna.encode(host, uts46=True, transitional=False).decode()
    except (idna.IDNAError, UnicodeError) as error:
        raise ConnectFailed(f"the host {host!r} is not a valid name: {error}", permanent=True) from error


def certificate_name(host: str) -> str:
    """Return the name to expect in the certificate: without a dot at its end."""
    return lookup_name(host).removesuffix(".")
