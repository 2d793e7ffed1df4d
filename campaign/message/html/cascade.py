"""Writes the declarations that rules give an element into its `style` attribute, so that it looks the same.

They are in the order of the cascade, the strongest last; the attribute's own text stays as it is written. A
mail program skips a declaration that it does not understand and uses the one before it, as with rules. So a
declaration is left out only if a later one has a value that every program understands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from campaign.message.html.markup import START, attributes, value_of
from campaign.message.html.stylesheet import Declaration, read_declarations

_LENGTH = r"0|\+?(?:\d+|\d*\.\d+)(?:px|pt|em|%)"
_COLOUR = (
    r"#(?:[0-9a-f]{3}|[0-9a-f]{6})|black|white|gray|silver|red|maroon|yellow|olive|lime|green|aqua|teal"
    r"|blue|navy|fuchsia|purple|orange|transparent"
)
_STYLE = "none|solid|dotted|dashed|double"
# Values that every mail program understands, by property.
_UNDERSTOOD = {
    name: re.compile(values, re.IGNORECASE)
    for names, values in (
        ("color background-color border-color", _COLOUR),
        ("font-size", _LENGTH),
        ("line-height", rf"{_LENGTH}|normal|\d+(?:\.\d+)?"),
        ("padding", rf"(?:{_LENGTH})(?:\s+(?:{_LENGTH})){{0,3}}"),
        ("margin", rf"(?:auto|-?(?:{_LENGTH}))(?:\s+(?:auto|-?(?:{_LENGTH}))){{0,3}}"),
        ("padding-top padding-right padding-bottom padding-left width height", rf"{_LENGTH}|auto"),
        ("margin-top margin-right margin-bottom margin-left", rf"auto|-?(?:{_LENGTH})"),
        ("font-weight", "normal|bold|[1-9]00"),
        ("font-style", "normal|italic"),
        ("text-align", "left|right|center|justify"),
        ("text-decoration", "none|underline|line-through"),
        ("text-transform", "none|uppercase|lowercase|capitalize"),
        ("vertical-align", "top|middle|bottom|baseline"),
        ("display", "none|block|inline|inline-block"),
        ("border", rf"0|none|(?:{_LENGTH})\s+(?:{_STYLE})\s+(?:{_COLOUR})"),
        ("border-collapse", "collapse|separate"),
    )
    for name in names.split()
}


def restyled(tag: str, normal: Sequence[Declaration], strong: Sequence[Declaration]) -> str:
    """Return a start tag with declarations added to its `style` attribute.

    `normal` are weaker than the attribute's own, and `strong` are stronger: the sheet marks them with
    `!important`. Both are in the order of the cascade. The attribute's own text stays.
    """
    every = list(attributes(tag))
    style = next((one for one in every if one.name == "style"), None)
    if style is None:
        named = START.match(tag)
        at = every[-1].end + len(every[-1].quote) if every else named.end(1) if named else len(tag)
        return f'{tag[:at]} style="{_escaped(_listed([*normal, *strong]))}"{tag[at:]}'
    written = tag[style.start : style.end]
    own, is_whole = read_declarations(value_of(written))
    followed = [one for one in own if not one.important] + list(strong)
    weaker: list[Declaration] = []
    if any(one.important for one in own):  # the attribute's own `!important` is the strongest
        weaker = [one for one in strong if one.important]
        strong = [one for one in strong if not one.important]
    before = ";".join(filter(None, (_listed(normal, followed), _listed(weaker))))
    behind = _listed(strong)
    if not style.assigned:
        return f'{tag[: style.end]}="{_escaped(_listed([*normal, *strong]))}"{tag[style.end :]}'
    if style.quote != '"':
        written = written.replace('"', "&quot;")
    if behind and not is_whole:  # a stray quote or bracket would swallow what follows it
        written = _escaped(";".join(map(str, own)))
    if behind:
        written = written.strip().rstrip(";")
    value = ";".join(part for part in (_escaped(before), written, _escaped(behind)) if part)
    begin, end = style.start - len(style.quote), style.end + len(style.quote)
    return f'{tag[:begin]}"{value}"{tag[end:]}'


def _listed(declarations: Sequence[Declaration], followed_by: Iterable[Declaration] = ()) -> str:
    """Return declarations as text, without those that a later one, or one of `followed_by`, replaces."""
    replaced = {one.name for one in followed_by if _is_understood(one.name, one.value)}
    kept: list[Declaration] = []
    for one in reversed(declarations):
        if one.name not in replaced and one not in kept:
            kept.append(one)
            if _is_understood(one.name, one.value):
                replaced.add(one.name)
    return ";".join(map(str, reversed(kept)))


@lru_cache(maxsize=4096)
def _is_understood(name: str, value: str) -> bool:
    values = _UNDERSTOOD.get(name)
    return values is not None and values.fullmatch(value) is not None


def _escaped(css: str) -> str:
    """Return CSS for a value in double quotes; its own double quotes become single ones if possible."""
    if "'" not in css:
        css = css.replace('"', "'")
    return css.replace("&", "&amp;").replace('"', "&quot;")
