"""A start tag → what it says of its text: whether it is shown, struck out, or keeps its line ends."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from campaign.message.html.markup import attributes, value_of

_ASKED = {"a", "area", "img", "li", "ol", "ul"}
_STRUCK = {"s", "strike", "del"}
_MAYBE_STYLED = re.compile(r"hidden|display|max-height|opacity|line-through|white-space", re.IGNORECASE)
_HIDDEN = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|(?:max-height|opacity)\s*:\s*0(?![.\d])", re.IGNORECASE
)
_WHITE_SPACE = re.compile(r"white-space\s*:\s*([a-z-]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Spaces:
    """What `white-space` says: whether line ends and blanks stay, and whether long lines are wrapped."""

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
    """What a start tag says; `spaces` is None where it says nothing of them."""

    attributes: Mapping[str, str] = field(default_factory=dict)
    is_hidden: bool = False
    is_struck: bool = False
    spaces: Spaces | None = None


def style_of(tag: str, written: str) -> Style:
    """Return what a start tag of that name says. `attributes` are read of those that need them."""
    if tag in _ASKED or _MAYBE_STYLED.search(written):
        return _read(tag, written)
    return _PLAIN.get(tag, _NOTHING)


@lru_cache(maxsize=4096)
def _read(tag: str, written: str) -> Style:
    found = {one.name: value_of(written[one.start : one.end]) for one in attributes(written)}
    style = found.get("style", "")
    plain = _PLAIN.get(tag, _NOTHING)
    said = [SPACES[value.lower()] for value in _WHITE_SPACE.findall(style) if value.lower() in SPACES]
    return Style(
        found,
        "hidden" in found or _HIDDEN.search(style) is not None,
        plain.is_struck or "line-through" in style,
        said[-1] if said else plain.spaces,
    )


_NOTHING = Style()
_PLAIN = {"pre": Style(spaces=PRE), **{tag: Style(is_struck=True) for tag in _STRUCK}}
