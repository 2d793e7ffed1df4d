"""Finds which rules must stay in style sheets because elements in conditional comments need them.

Outlook on Windows reads the HTML in `<!--[if mso]>…<![endif]-->`. Nothing can be inlined there, because it is
a comment for everybody else; so Outlook takes the rules for these elements from `<style>`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from campaign.message.html.markup import TOKEN, attributes

_START = re.compile(r"<([a-zA-Z][^\s/>]*)")
_IN_BRACKETS = re.compile(r"\[[^\]]*\]|:[\w-]+|\([^()]*\)")
_COMBINATORS = re.compile(r"[\s>+~]+")
_NAMED = re.compile(r"([.#]?)((?:[\w-]|[^\x00-\x7f]|\\.)+)")


@dataclass(frozen=True, slots=True)
class Needed:
    """The elements in comments: of each its name, its classes and its ids, as `p`, `.lead` and `#top`."""

    elements: frozenset[frozenset[str]]

    @classmethod
    def of(cls, comments: Iterable[str]) -> Needed:
        """Return the elements in comments."""
        found = set()
        for comment in comments:
            for token in TOKEN.split(comment[4:])[1::2]:
                begun = _START.match(token)
                if begun is not None:
                    found.add(frozenset(_names(token, begun[1].lower())))
        return cls(frozenset(found))

    def may_match(self, selector: str) -> bool:
        """Whether a selector's last part matches an element in a comment; its other parts are ignored."""
        if not self.elements:
            return False
        last = _COMBINATORS.split(_IN_BRACKETS.sub("", selector.strip()))[-1]
        names = {
            mark + (name if mark else name.lower()) for mark, name in _NAMED.findall(last) if "\\" not in name
        }
        return any(names <= element for element in self.elements)


def _names(tag: str, name: str) -> Iterable[str]:
    yield name
    for one in attributes(tag):
        value = tag[one.start : one.end]
        if one.name == "class":
            yield from (f".{part}" for part in value.split())
        elif one.name == "id":
            yield f"#{value.strip()}"
