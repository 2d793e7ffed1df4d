"""Reads from a start tag whether its text is shown, struck out, or keeps its line ends."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from campaign.message.html.markup import attributes, value_of
from campaign.message.html.stylesheet import read_declarations

_ASKED = {"a", "area", "img", "li", "ol", "ul"}
_STRUCK = {"s", "strike", "del"}
_MAYBE_STYLED = re.compile(r"hidden|display|max-height|opacity|line-through|white-space", re.IGNORECASE)
_ZERO = re.compile(r"[+-]?(?:0*\.)?0+(?:[a-z]+|%)?")


@dataclass(frozen=True, slots=True)
class Spaces:
    """The effect of `white-space`: whether line ends and blanks stay, and whether long lines are wrapped."""

    keeps_lines: bool = False
    keeps_blanks: bool = False
    wraps: bool = True


COLLAPSED = Spaces()
PRE = Spaces(keeps_lines=True, keeps_blanks=True, wraps=False)
SPACES = {
    "normal": COLLAPSED,
    "nowrap": COLLAPSED,
    "pre": PRE,
    "pre-wrap": Spaces(keeps_lines=True, keeps_blanks=True),
    "break-spaces": Spaces(keeps_lines=True, keeps_blanks=True),
    "pre-line": Spaces(keeps_lines=True),
}
"""By the values of `white-space` (CSS Text 3, 3)."""


@dataclass(frozen=True, slots=True)
class Style:
    """The style of a start tag; `spaces` is None if it does not change them."""

    attributes: Mapping[str, str] = field(default_factory=dict)
    is_hidden: bool = False
    is_struck: bool = False
    spaces: Spaces | None = None


def style_of(tag: str, written: str) -> Style:
    """Return the style of a start tag `written` with the name `tag`. `attributes` are read only if needed."""
    if tag in _ASKED or _MAYBE_STYLED.search(written):
        return _read(tag, written)
    return _PLAIN.get(tag, _NOTHING)


@lru_cache(maxsize=4096)
def _read(tag: str, written: str) -> Style:
    found = {one.name: value_of(written[one.start : one.end]) for one in attributes(written)}
    values = _values(found.get("style", ""))
    plain = _PLAIN.get(tag, _NOTHING)
    is_hidden = (
        ("hidden" in found and "display" not in values)
        or values.get("display") == "none"
        or values.get("visibility") in ("hidden", "collapse")
        or any(_ZERO.fullmatch(values.get(name, "")) for name in ("max-height", "opacity"))
    )
    struck = any(
        "line-through" in values.get(name, "") for name in ("text-decoration", "text-decoration-line")
    )
    spaces = SPACES.get(values.get("white-space", ""), plain.spaces)
    return Style(found, is_hidden, plain.is_struck or struck, spaces)


def _values(style: str) -> Mapping[str, str]:
    """Return the values of a `style` attribute in lower case; the last one counts."""
    declarations, _ = read_declarations(style)
    ordered = sorted(declarations, key=lambda one: one.important)
    return {one.name: one.value.lower() for one in ordered}


_NOTHING = Style()
_PLAIN = {"pre": Style(spaces=PRE), **{tag: Style(is_struck=True) for tag in _STRUCK}}
