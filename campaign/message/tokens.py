"""Makes the Message-ID, the bounce token and the unsubscribe token of a row or an address.

All are HMAC-SHA256 in hexadecimal: the same in every run, and only the owner of the secret can make them.
"""

from __future__ import annotations

import hmac
import json
import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Secrets:
    """`ledger` keys Message-IDs and bounce tokens; `unsubscribe` is shared with the user's web server."""

    ledger: bytes
    unsubscribe: bytes = b""

    @classmethod
    def placeholder(cls) -> Secrets:
        """Return secrets for messages that are never sent, so that no secret command is run."""
        return cls(b"placeholder", b"placeholder")


MESSAGE_ID = re.compile("<[0-9a-f]{20,32}@")
"""How a row's Message-ID begins, in angle brackets; earlier releases took 20 digits."""


class Tokens:
    """Makes the tokens of the campaign with this name."""

    def __init__(self, campaign: str, secrets: Secrets) -> None:
        self._campaign = campaign
        self._secrets = secrets
        self._quoted = json.JSONEncoder(ensure_ascii=False).encode
        self._keyed = hmac.new(secrets.ledger, digestmod="sha256")
        self._leaving = hmac.new(secrets.unsubscribe, digestmod="sha256")
        self._keyed.update(f"[{self._quoted(campaign)}, ".encode())
        # It is needed once for a draft, and again for the message.
        self.bounce = lru_cache(maxsize=512)(self._bounce)

    def message_id(self, key: str, domain: str) -> str:
        """Return a row's Message-ID with its angle brackets (RFC 5322 3.6.4); a resend has the same."""
        return f"<{self.message_mark(key)}@{domain}>"

    def message_mark(self, key: str) -> str:
        """Return the part of a row's Message-ID before the @, 32 digits."""
        return self._token(key, 32)

    def test_message_id(self, key: str, date: datetime, domain: str) -> str:
        """Return the Message-ID of a test message, different for each date."""
        return f"<test.{self._token(f'{key} {date.isoformat()}', 32)}@{domain}>"

    def _bounce(self, key: str) -> str:
        """Return the token that makes a row's envelope sender unique (VERP), 20 digits."""
        return self._token(f"bounce {key}", 20)

    def test_bounce(self, address: str) -> str:
        """Return the bounce token of test messages to an address, 20 digits."""
        return self._token(f"test {address}", 20)

    def unsubscribe(self, address: str) -> str:
        """Return HMAC-SHA256(secret, address), 64 digits; the user's server computes the same."""
        one = self._leaving.copy()
        one.update(address.encode())
        return one.hexdigest()

    @property
    def boundary(self) -> str:
        """The word in the MIME boundaries of all messages, 24 digits."""
        return hmac.new(self._secrets.ledger, self._campaign.encode(), "sha256").hexdigest()[:24]

    def _token(self, key: str, length: int) -> str:
        """Return digits of HMAC-SHA256 of the JSON list of campaign and key."""
        one = self._keyed.copy()
        one.update(f"{self._quoted(key)}]".encode())
        return one.hexdigest()[:length]
