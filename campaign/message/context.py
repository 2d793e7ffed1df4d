"""Makes the context of templates for a recipient: the row, the vars, and the program's own names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from campaign.message.content import Content
from campaign.model import RESERVED
from campaign.templating.names import ROW, Names, trimmed
from campaign.templating.text import Text

_INDENT = re.compile(r"(?<=[\r\n])[ \t]+")


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
    """The ways to unsubscribe, as templates see them; `url` and `mailto` are "" if there is none."""

    token: str
    url: str
    mailto: str


@dataclass(frozen=True, slots=True)
class _Bounce:
    token: str


@dataclass(frozen=True, slots=True)
class Row:
    """A recipient in a template process: the cells in the columns' order, and the finished tokens."""

    cells: tuple[str, ...]
    email: str
    name: str
    number: int
    bounce: str
    unsubscribe: str


def for_markdown(context: Mapping[str, object]) -> Mapping[str, object]:
    """Return a context with cells that have no blanks at the start of a line: four would begin code."""
    row = context[ROW]
    if not isinstance(row, Mapping) or not any("\n" in cell or "\r" in cell for cell in row.values()):
        return context
    changed = {column: _INDENT.sub("", cell) for column, cell in row.items()}
    by_name = {column: cell for column, cell in changed.items() if context.get(column) is row[column]}
    return {**context, **by_name, ROW: changed}


class Contexts:
    """Makes the contexts of one campaign. `names` are the names that templates may use."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._own = MappingProxyType({"campaign": _Campaign(content.name)})
        columns = content.columns
        self._columns = tuple(c for c in columns if c.isidentifier() and c not in RESERVED)
        absent = set() if content.has_unsubscribe else {"unsubscribe"}
        self.names = Names(columns, frozenset(RESERVED - {ROW} - absent) | frozenset(content.vars))

    def of(self, given: Row, url: Text, mailto: Text) -> dict[str, object]:
        """Return one recipient's context. `url` and `mailto` are the templates of `unsubscribe`.

        Raises UserError if one of the two fails.
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
            # The template of `url` can use the token.
            context["unsubscribe"] = Unsubscribe(given.unsubscribe, "", address)
            page = url.render(context).strip()
            context["unsubscribe"] = Unsubscribe(given.unsubscribe, page, address)
        return context
