"""A recipient → what the templates see: the row, the vars, and the names that the program defines."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from campaign.message.content import Content
from campaign.model import RESERVED
from campaign.templating.names import ROW, Names, trimmed
from campaign.templating.text import Text


@dataclass(frozen=True, slots=True)
class _Campaign:
    name: str


@dataclass(frozen=True, slots=True)
class _Recipient:
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


@dataclass(frozen=True, slots=True)
class Row:
    """A recipient as templates see one: the cells in the columns' order, and the tokens, made elsewhere."""

    cells: tuple[str, ...]
    email: str
    name: str
    number: int
    bounce: str
    unsubscribe: str


class Contexts:
    """Makes the contexts of one campaign's templates. `names` are the names in them."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._own = MappingProxyType({"campaign": _Campaign(content.name)})
        columns = content.columns
        self._columns = tuple(c for c in columns if c.isidentifier() and c not in RESERVED)
        absent = set() if content.has_unsubscribe else {"unsubscribe"}
        self.names = Names(columns, frozenset(RESERVED - {ROW} - absent) | frozenset(content.vars))

    def of(self, given: Row, url: Text, mailto: Text) -> dict[str, object]:
        """Return one recipient's context; `url` and `mailto` are templates of the ways to unsubscribe.

        Raises UserError where one of the two fails.
        """
        content = self._content
        row = trimmed(dict(zip(content.columns, given.cells, strict=True)))
        context: dict[str, object] = dict(content.vars)
        for column in self._columns:
            context[column] = row[column]
        context.update(self._own)
        context[ROW] = row
        context["recipient"] = _Recipient(given.email, given.name, given.number)
        context["bounce"] = _Bounce(given.bounce)
        if content.has_unsubscribe:
            address = mailto.render(context).strip()
            # The template of the page sees the token.
            context["unsubscribe"] = Unsubscribe(given.unsubscribe, "", address)
            page = url.render(context).strip()
            context["unsubscribe"] = Unsubscribe(given.unsubscribe, page, address)
        return context
