"""The scope of a rate: what is counted together, over all campaigns of a ledger."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scope:
    """The scope of a rate: an account on a server, or one that the campaign file names."""

    host: str
    username: str

    @classmethod
    def of(cls, host: str, username: str | None, account: str | None = None) -> Scope:
        """Return the scope of a server's settings. Case and a final dot in the host make no difference."""
        if account is not None:
            return cls("", account)
        return cls(host.lower().rstrip("."), username or "")
