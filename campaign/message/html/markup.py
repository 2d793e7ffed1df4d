"""Finds the tags, comments and attributes of HTML and their positions, as browsers do (HTML 13.2.5)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from html.entities import html5

# Groups are atomic, not possessive, which Python 3.11.0 to 3.11.4 match wrongly (gh-106052).
_VALUE = r"""\s*+=\s*+(?:"[^"]*+"|'[^']*+'|(?!["'])[^\s>]*+)"""
_ATTRIBUTES = rf"(?>(?:[\s/]++|=?[^\s/>=]++(?>(?:{_VALUE})?))*)"

RAW = ("script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes")
"""Elements that contain only text, even if it looks like tags."""

_RAW_ELEMENTS = "|".join(
    rf"<{name}(?=[\s/>]){_ATTRIBUTES}>[^<]*+(?>(?:<(?!/{name}[\s/>])[^<]*+)*)(?:</{name}[^>]*(?:>|\Z)|\Z)"
    for name in RAW
)

TOKEN = re.compile(
    rf"(<!--(?:-?>|.*?(?:--!?>|\Z))|<(?:[!?]|/(?![a-zA-Z]))[^>]*(?:>|\Z)|</[a-zA-Z][^>]*(?:>|\Z)|{_RAW_ELEMENTS}"
    rf"|<[a-zA-Z][^\s/>]*+(?:{_ATTRIBUTES}>|[^>]*(?:>|\Z)))",
    re.DOTALL | re.IGNORECASE,
)
"""A comment, a declaration, an end tag or a start tag; elements of RAW with their content.

`TOKEN.split` gives texts and tokens in turn; together they are the document.
"""

START = re.compile(rf"<([a-zA-Z][^\s/>]*+){_ATTRIBUTES}>")
"""A start tag and its name."""


VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
)
"""Elements without an end tag (HTML 13.1.2)."""

_ATTRIBUTE = re.compile(rf"[\s/]*+(=?[^\s/>=]++)(?>({_VALUE})?)")
# HTML 13.2.5.73: in an attribute, `&reg` is not a reference if `=`, a letter or a digit follows.
_REFERENCE = re.compile(r"&(?:#(?:[0-9]++|[xX][0-9a-fA-F]++);?|([a-zA-Z][a-zA-Z0-9]*+(?:;|(?!=))))")
_ASSIGNED = re.compile(r"\s*=\s*")


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of a tag: its name in lower case, and the position of its value without `quote`.

    Without a value, `start` and `end` are after its name, and `assigned` is false.
    """

    name: str
    start: int
    end: int
    quote: str
    assigned: bool


def without_end(text: str) -> str:
    """Return the content of an element of RAW, given all that follows its start tag."""
    return text[: text.rfind("</")] if "</" in text else text


def value_of(written: str) -> str:
    """Return an attribute's value as browsers read it: `&reg` in `?a=1&region=eu` is not ®."""
    return _REFERENCE.sub(_referenced, written) if "&" in written else written


def _referenced(match: re.Match[str]) -> str:
    return unescape(match[0]) if match[1] is None or match[1] in html5 else match[0]


def linked(address: str) -> str:
    """Return the address of a link as browsers read it: without line ends and tabs (URL 4.4)."""
    return re.sub(r"[\t\n\r]", "", address).strip().replace(" ", "%20")


def attributes(tag: str) -> Iterator[Attribute]:
    """Yield the attributes of a start tag; of several with one name only the first, as browsers do."""
    begin = START.match(tag)
    if begin is None:
        return
    seen: set[str] = set()
    for found in _ATTRIBUTE.finditer(tag, begin.end(1), begin.end() - 1):
        name = found[1].lower()
        if name in seen:
            continue
        seen.add(name)
        start, end, quote = found.end(), found.end(), ""
        if found[2] is not None:
            assigned = _ASSIGNED.match(tag, found.start(2))
            start = assigned.end() if assigned else start
            if tag[start : start + 1] in ('"', "'"):
                start, end, quote = start + 1, end - 1, tag[start]
        yield Attribute(name, start, end, quote, found[2] is not None)
