"""A cell is printed unencoded into a web address, and contains a character with a special meaning there.

In `https://example.com/u?e={{ email }}`, the server decodes the `+` of ada+news@example.com as a space
(application/x-www-form-urlencoded); `&` ends the value, `#` ends the query, and `%` begins an escape
(RFC 3986 2.1, 3.4). Before the `?`, the characters `?`, `#` and `%` are special. `{{ email|urlencode }}`
keeps them. A cell that is the whole address, or its beginning, is not checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from campaign.checks.checked import Checked
from campaign.checks.finding import Finding
from campaign.checks.rule import Rule
from campaign.errors import Problem
from campaign.model import Recipient

_TAG = r"\{\{.*?\}\}"
# An address in a text, or in an attribute, where it may begin with a tag.
_ADDRESS = re.compile(
    rf"""https?://(?:{_TAG}|[^\s"'<>)\]}}{{\\])+"""
    rf"""|(?<=["']){_TAG}(?:{_TAG}|[^\s"'<>)\]}}{{\\])+(?=["'])"""
)
_EXPRESSION = re.compile(r"\{\{-?(.*?)-?\}\}")
_IN_QUERY, _IN_PATH = re.compile("[+&#%]"), re.compile("[?#%]")


@dataclass(frozen=True, slots=True)
class _Printed:
    """A value that is printed into an address: its column, or None for the recipient's address.

    `harmful` are the characters that must not be in it.
    """

    column: str | None
    written: str
    harmful: re.Pattern[str]
    place: Problem


class Check(Rule):
    """Reports cells that are printed into web addresses without being encoded."""

    def __init__(self, checked: Checked, name: str) -> None:
        super().__init__(checked, name)
        columns = frozenset(checked.content.columns)
        self._printed = list(_printed(checked, columns))

    def read(self, recipient: Recipient) -> Iterator[Finding]:
        for printed in self._printed:
            cell = recipient.email if printed.column is None else recipient.row[printed.column]
            found = printed.harmful.search(cell)
            if found is not None:
                what = (
                    f"{{{{ {printed.written} }}}} is printed into an address unencoded, and its {found[0]!r}"
                )
                what += f" means something else there; write {{{{ {printed.written}|urlencode }}}}"
                yield self.find(self.at(printed.place, what, same=printed.written))


def _printed(checked: Checked, columns: frozenset[str]) -> Iterator[_Printed]:
    for name, source in checked.sources.all.items():
        for address in _ADDRESS.finditer(source) if "{{" in source else ():
            for tag in _EXPRESSION.finditer(address[0]):
                before = address[0][: tag.start()]
                # At the beginning, the value is the address itself; a host has no escapes.
                if not before or re.fullmatch(r"https?://[^/?#]*", before):
                    continue
                harmful = _IN_QUERY if "?" in before else _IN_PATH
                place = checked.sources.at(name, address.start() + tag.start())
                for column in _columns(tag[1], columns):
                    yield _Printed(column, tag[1].strip(), harmful, place)


def _columns(expression: str, columns: frozenset[str]) -> Iterator[str | None]:
    """Yield the columns that an expression prints, None for the address; nothing if it encodes them."""
    if "recipient" not in expression and not any(column in expression for column in columns):
        return
    if (name := expression.strip()) in columns and name.isidentifier():
        yield name
        return
    # Imported only here: most campaigns never get this far.
    from jinja2 import Environment, TemplateSyntaxError, nodes

    from campaign.templating.uses import Uses

    try:
        tree = Environment(autoescape=True).parse(f"{{{{{expression}}}}}")
    except TemplateSyntaxError:
        return
    if any(node.name in ("urlencode", "length", "count") for node in tree.find_all(nodes.Filter)):
        return
    names = Uses(tree).printed
    yield from (name for name in names if name in columns)
    if "recipient" in names and any(node.attr == "email" for node in tree.find_all(nodes.Getattr)):
        yield None
