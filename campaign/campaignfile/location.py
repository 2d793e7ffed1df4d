"""Parse the place of a ledger, from the campaign file or `--ledger`: a file, or a PostgreSQL database.

    ledger: ledger.db                          a file
    ledger: postgresql://news@host/mail        a database; libpq finds its password
    ledger: {postgresql_env: CAMPAIGN_LEDGER}  the environment variable that contains such an address

A password in the file is refused, and so is one on the command line, where every process can read it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qsl, urlsplit

from campaign.campaignfile.readers import resolve
from campaign.errors import UserError
from campaign.wording import shown

_SCHEMES = ("postgresql://", "postgres://")
_ANY_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_ENV = "postgresql_env"
# Secret parameters of an address (libpq, "Connection URIs").
_SECRETS = ("password", "sslpassword", "oauth_client_secret")


@dataclass(frozen=True, slots=True)
class PostgresLocation:
    """A database: its address without a password (`url`), or the variable that contains one (`env`)."""

    url: str = ""
    env: str = ""

    @property
    def address(self) -> str:
        """The address for psycopg, which may contain a password. Raises UserError if it is not set."""
        if not self.env:
            return self.url
        address = os.environ.get(self.env)
        if not address:
            raise UserError(f"ledger.{_ENV}: the environment variable {self.env} is not set")
        return address

    def __str__(self) -> str:
        return self.url or f"the PostgreSQL database of {self.env}"


Location: TypeAlias = Path | PostgresLocation


def read_location(value: object, folder: Path) -> Location:
    """Return the ledger that `value` names from `folder`. Raises ValueError with a sentence."""
    if isinstance(value, dict):
        env = value.get(_ENV)
        if set(value) != {_ENV} or not isinstance(env, str) or not env.strip():
            raise ValueError(f"expected a path, postgresql://host/database, or {{{_ENV}: NAME}}")
        return PostgresLocation(env=env)
    if isinstance(value, str) and value.startswith(_SCHEMES):
        _refuse_password(value)
        return PostgresLocation(url=value)
    if isinstance(value, str) and (scheme := _ANY_SCHEME.match(value)):
        what = "expected the path of a file, or an address that begins with postgresql://"
        raise ValueError(f"{what}, and not with {scheme[0]}")
    return resolve(value, folder)


def _refuse_password(url: str) -> None:
    try:
        parts = urlsplit(url)
        names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    except ValueError:
        raise ValueError("this address cannot be read; it is postgresql://user@host:port/database") from None
    if ":" in parts.netloc.rpartition("@")[0] or any(name in _SECRETS for name in names):
        raise ValueError(
            "a password does not belong here: put it into ~/.pgpass or PGPASSWORD, or the whole address into"
            f" an environment variable that {_ENV} names"
        )


def files_of(location: Location) -> tuple[Path, ...]:
    """Return the file of a ledger; nothing if it is a database."""
    return (location,) if isinstance(location, Path) else ()


def same_ledger(one: Location, other: Location) -> bool:
    """Whether two locations name the same ledger."""
    if isinstance(one, Path) and isinstance(other, Path):
        return os.path.realpath(one) == os.path.realpath(other)
    return one == other


def shown_location(location: Location) -> str:
    """Return a location for display."""
    return shown(location) if isinstance(location, Path) else str(location)
