"""What a template sees of one recipient: the row, the vars, and the names that are ours."""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass
from types import MappingProxyType

from campaign.campaignfile.models import CampaignFile
from campaign.model import Recipient
from campaign.templating.compiled import Text
from campaign.templating.names import RESERVED, ROW, Names, trimmed


@dataclass(frozen=True, slots=True)
class Secrets:
    """`ledger` keys Message-IDs and bounce tokens; `unsubscribe` is what the person's server shares."""

    ledger: bytes
    unsubscribe: bytes = b""

    @classmethod
    def placeholder(cls) -> Secrets:
        """Return secrets for messages that nobody gets: no command is run for them."""
        return cls(b"placeholder", b"placeholder")


@dataclass(frozen=True, slots=True)
class _Name:
    name: str


@dataclass(frozen=True, slots=True)
class _Addressee:
    email: str
    name: str
    number: int


@dataclass(frozen=True, slots=True)
class Ways:
    token: str
    url: str
    mailto: str


@dataclass(frozen=True, slots=True)
class _Bounce:
    token: str


class Contexts:
    """Makes the contexts of one campaign's templates. `names` are what they hold."""

    def __init__(self, campaign: CampaignFile, columns: tuple[str, ...], secrets: Secrets) -> None:
        self._campaign = campaign
        self._secrets = secrets
        self._own = MappingProxyType({"campaign": _Name(campaign.name)})
        self._columns = tuple(c for c in columns if c.isidentifier() and c not in RESERVED)
        absent = set() if campaign.unsubscribe is not None else {"unsubscribe"}
        self.names = Names(columns, frozenset(RESERVED - {ROW} - absent) | frozenset(campaign.vars))

    def of(self, recipient: Recipient, url: Text, test_to: str | None = None) -> dict[str, object]:
        """Return one recipient's context; `url` is the template of the unsubscribe page.

        In a test for `test_to` the tokens are theirs: trying the link unsubscribes nobody else.
        """
        row = trimmed(recipient.row)
        context: dict[str, object] = dict(self._campaign.vars)
        for column in self._columns:
            context[column] = row[column]
        context.update(self._own)
        context[ROW] = row
        context["recipient"] = _Addressee(recipient.email, recipient.name, recipient.number)
        bounce = f"bounce {recipient.key}" if test_to is None else f"test {test_to}"
        context["bounce"] = _Bounce(self.token(bounce, 20))
        unsubscribe = self._campaign.unsubscribe
        if unsubscribe is not None:
            address = (recipient.email if test_to is None else test_to).encode()
            token = hmac.new(self._secrets.unsubscribe, address, "sha256").hexdigest()
            context["unsubscribe"] = Ways(token, "", unsubscribe.mailto or "")
            context["unsubscribe"] = Ways(token, url.render(context).strip(), unsubscribe.mailto or "")
        return context

    def token(self, key: str, length: int) -> str:
        """Return so many hexadecimal digits that stand for a key, and that nobody else can make."""
        identity = json.dumps([self._campaign.name, key], ensure_ascii=False).encode()
        return hmac.new(self._secrets.ledger, identity, "sha256").hexdigest()[:length]
