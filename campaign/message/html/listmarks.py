"""Makes the marks of list items in plain text: `- `, `3. `, `c. ` or `III. ` (HTML 4.4.5)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from campaign.message.html.markup import attributes

_TAG = re.compile(r"<(/?)(ol|ul|menu|dir|li)(?=[\s/>])", re.IGNORECASE)
_INTEGER = re.compile(r"\s*([+-]?[0-9]{1,9})(?![0-9])")
_STYLE = re.compile(r"list-style(?:-type)?\s*:([^;]*)", re.IGNORECASE)
_KINDS = {
    "decimal": "1",
    "lower-alpha": "a",
    "lower-latin": "a",
    "upper-alpha": "A",
    "upper-latin": "A",
    "lower-roman": "i",
    "upper-roman": "I",
    "disc": "-",
    "circle": "-",
    "square": "-",
    "none": "-",
}
_ROMAN = (
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"),
    (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip


@dataclass(slots=True)
class Marks:
    """The marks of one open list: `kind` is one of `1 a A i I -`; the next item has this `number`."""

    kind: str = "-"
    number: int = 1
    step: int = 1

    def next(self, attributes: Mapping[str, str]) -> str:
        """Return the mark of an item with these attributes."""
        self.number = _integer(attributes.get("value", ""), self.number)
        kind, number = _kind(attributes, self.kind), self.number
        self.number += self.step
        return "- " if kind == "-" else f"{_written(number, kind)}. "


def marks(tag: str, attributes: Mapping[str, str], items: int) -> Marks:
    """Return the marks of a list with this many `items`."""
    is_reversed = tag == "ol" and "reversed" in attributes
    first = _integer(attributes.get("start", ""), items if is_reversed else 1)
    return Marks(_kind(attributes, "1" if tag == "ol" else "-"), first, -1 if is_reversed else 1)


def items_of_reversed(tokens: Sequence[str]) -> dict[int, int]:
    """Return how many items each `<ol reversed>` has, by the place of its token."""
    found: dict[int, int] = {}
    open_lists: list[tuple[str, int]] = []
    for place, token in enumerate(tokens):
        tag = _TAG.match(token)
        if tag is None:
            continue
        name = tag[2].lower()
        if name == "li":
            if not tag[1] and open_lists and open_lists[-1][1] in found:
                found[open_lists[-1][1]] += 1
        elif not tag[1]:
            open_lists.append((name, place))
            if name == "ol" and any(one.name == "reversed" for one in attributes(token)):
                found[place] = 0
        elif open_lists and open_lists[-1][0] == name:
            open_lists.pop()
    return found


def _kind(attributes: Mapping[str, str], otherwise: str) -> str:
    for written in reversed(_STYLE.findall(attributes.get("style", ""))):
        named = [_KINDS[word] for word in written.lower().split() if word in _KINDS]
        if named:
            return named[0]
    kind = attributes.get("type", "").strip()
    if kind in ("1", "a", "A", "i", "I"):
        return kind
    return "-" if kind.lower() in ("disc", "circle", "square", "none") else otherwise


def _integer(written: str, otherwise: int) -> int:
    found = _INTEGER.match(written)
    return int(found[1]) if found else otherwise


def _written(number: int, kind: str) -> str:
    """Return a number in letters or Roman numerals, or in digits if these cannot express it."""
    letters = ""
    if kind in "aA" and number > 0:
        while number:
            number, letter = divmod(number - 1, 26)
            letters = chr(ord("a") + letter) + letters
    elif kind in "iI" and 0 < number < 4000:
        for value, letter_of in _ROMAN:
            letters += letter_of * (number // value)
            number %= value
    else:
        return str(number)
    return letters.upper() if kind in "AI" else letters
