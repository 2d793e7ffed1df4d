"""A server's name as `smtp.host` has it → as it is looked up, and as its certificate bears it."""

from __future__ import annotations

from campaign.errors import ConnectFailed


def looked_up(host: str) -> str:
    """Return the name in ASCII, or an address without its brackets.

    The standard library would encode it by IDNA 2003, for which straße.example is strasse.example: the
    name of another owner, who has a certificate for it. Raises ConnectFailed for what is no name.
    """
    if host.isascii():
        return host.strip("[]")
    import idna  # slow to load, and few hosts need it

    try:
        return idna.encode(host, uts46=True, transitional=False).decode()
    except (idna.IDNAError, UnicodeError) as error:
        raise ConnectFailed(f"the host {host!r} is no name: {error}", permanent=True) from error


def certified(host: str) -> str:
    """Return the name that a certificate bears, which has no dot at its end."""
    return looked_up(host).removesuffix(".")
