"""A recipient → what the templates see: the row, the vars, and the names that the program defines."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from campaign.campaignfile.models import CampaignFile
from campaign.message.tokens import Tokens
from campaign.model import RESERVED, Recipient
from campaign.templating.compiled import Text
from campaign.templating.names import ROW, Names, trimmed


@dataclass(frozen=True, slots=True)
class _Campaign:
    name: str


@dataclass(frozen=True, slots=True)
class _Addressee:
    email: str
    name: str
    number: int


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """The ways to unsubscribe, as templates see them; `url` and `mailto` are "" where there is none."""

    token: str
    url: str
    mailto: str


@dataclass(frozen=True, slots=True)
class _Bounce:
    token: str


class Contexts:
    """Makes the contexts of one campaign's templates. `names` are the names in them."""

    def __init__(self, campaign: CampaignFile, columns: tuple[str, ...], tokens: Tokens) -> None:
        self._campaign = campaign
        self._tokens = tokens
        self._own = MappingProxyType({"campaign": _Campaign(campaign.name)})
        self._columns = tuple(c for c in columns if c.isidentifier() and c not in RESERVED)
        absent = set() if campaign.unsubscribe is not None else {"unsubscribe"}
        self.names = Names(columns, frozenset(RESERVED - {ROW} - absent) | frozenset(campaign.vars))

    def of(
        self, recipient: Recipient, url: Text, mailto: Text, test_to: str | None = None
    ) -> dict[str, object]:
        """Return one recipient's context; `url` and `mailto` are templates of the ways to unsubscribe.

        In a test message to `test_to` the tokens are made for that address: following its
        unsubscribe link does not unsubscribe the recipient. Raises UserError where one of the two fails.
        """
        row = trimmed(recipient.row)
        context: dict[str, object] = dict(self._campaign.vars)
        for column in self._columns:
            context[column] = row[column]
        context.update(self._own)
        context[ROW] = row
        context["recipient"] = _Addressee(recipient.email, recipient.name, recipient.number)
        tokens = self._tokens
        context["bounce"] = _Bounce(
            tokens.bounce(recipient.token_key) if test_to is None else tokens.test_bounce(test_to)
        )
        unsubscribe = self._campaign.unsubscribe
        if unsubscribe is not None:
            token = tokens.unsubscribe(recipient.email if test_to is None else test_to)
            address = mailto.render(context).strip()
            # The template of the page sees the token.
            context["unsubscribe"] = Unsubscribe(token, "", address)
            context["unsubscribe"] = Unsubscribe(token, url.render(context).strip(), address)
        return context
