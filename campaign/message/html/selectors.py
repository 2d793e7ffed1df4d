"""Finds the selectors of a rule that css-inline can match, with the specificity of each.

A selector can be inlined if it depends only on the document: `.a > td:first-child`, but not `a:hover` or
`p::first-line`. An invalid selector makes its whole rule invalid, as in browsers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeGuard

import css_inline
from tinycss2.ast import (
    FunctionBlock,
    HashToken,
    IdentToken,
    LiteralToken,
    Node,
    SquareBracketsBlock,
    StringToken,
    WhitespaceToken,
)

Specificity = tuple[int, int, int]

_SHORT = {"is", "where"}
_LISTS = _SHORT | {"not", "has"}
_STATIC = _LISTS | {
    "root", "scope", "link", "any-link", "lang", "empty",
    "first-child", "last-child", "only-child", "nth-child", "nth-last-child",
    "first-of-type", "last-of-type", "only-of-type", "nth-of-type", "nth-last-of-type",
}  # fmt: skip
_STATES = {"active", "focus", "focus-visible", "focus-within", "hover", "target", "visited"}
_PARTS = {"after", "before", "first-letter", "first-line"}
_MOST_WRITTEN_OUT = 50  # selectors that one selector is expanded to
_MOST_LANGUAGES = 4  # nested
_NOTHING = ":not(*)"


@dataclass(frozen=True, slots=True)
class Selector:
    """One selector; `attributes` are the names of those that it tests."""

    text: str
    specificity: Specificity
    attributes: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Written:
    """A selector without `:is()`: the part before its last compound, that one's name, and its rest."""

    before: str = ""
    name: str = ""
    rest: str = ""

    def __str__(self) -> str:
        return self.before + self.name + self.rest


class _NotPlainError(Exception):
    """A selector with `:is()` cannot be expanded to a few others, or matches nothing."""


def read_selectors(prelude: Iterable[Node]) -> tuple[tuple[Selector, ...], bool]:
    """Return the selectors of a rule that depend only on the document, and whether it has others.

    If one is invalid, there are none: browsers skip the whole rule.
    """
    found: list[Selector] = []
    has_others = False
    for tokens in _comma_separated(prelude):
        attributes: set[str] = set()
        specificity = _specificity(tokens, attributes)
        if specificity is None:
            if _specificity(_without_state(tokens), set()) is None:
                return (), False
            has_others = True
            continue
        try:
            texts = [str(one).strip() for one in _written_out(tokens)]
        except _NotPlainError:
            texts = [_NOTHING]
        found += (Selector(one, specificity, frozenset(attributes)) for one in texts)
    return (tuple(found), has_others) if _are_matched([one.text for one in found]) else ((), False)


def _without_state(tokens: Sequence[Node]) -> list[Node]:
    """Return a selector without its state (`:hover`) and pseudo-element (`::before`)."""
    kept: list[Node] = []
    for token in tokens:
        name = token.lower_value if isinstance(token, IdentToken) else ""
        colons = [isinstance(one, LiteralToken) and one.value == ":" for one in kept[-2:]]
        if name in _STATES and colons[-1:] == [True] and colons != [True, True]:
            del kept[-1:]
        elif name in _PARTS and colons[-1:] == [True] and token is _trimmed(tokens)[-1]:
            del kept[-2 if colons == [True, True] else -1 :]
        else:
            kept.append(token)
    return kept


def strongest(prelude: Iterable[Node]) -> Specificity | None:
    """Return the highest specificity in a rule; None if a selector depends on more than the document."""
    weights = [_specificity(tokens, set()) for tokens in _comma_separated(prelude)]
    return None if None in weights else max(filter(None, weights), default=None)


def _are_matched(texts: Sequence[str]) -> bool:
    """Whether css-inline can parse all of them: each either matches the test's only element, or does not."""
    css = "".join(f"x-{n}:not({one}),x-{n}:not(:not({one})){{x:y}}" for n, one in enumerate(texts))
    elements = "".join(f"<x-{number}>" for number in range(len(texts)))
    inliner = css_inline.CSSInliner(extra_css=css, load_remote_stylesheets=False)
    return inliner.inline(elements).count("style=") == len(texts)


def _comma_separated(tokens: Iterable[Node]) -> Iterator[list[Node]]:
    part: list[Node] = []
    for token in tokens:
        if isinstance(token, LiteralToken) and token.value == ",":
            yield part
            part = []
        elif token.type != "comment":
            part.append(token)
    yield part


def _written_out(tokens: Sequence[Node], before: str = "") -> list[_Written]:
    """Expand a selector to ones without `:is()` and `:where()`, which css-inline does not know.

    `:is(h1, h2) b` becomes `h1 b` and `h2 b`. `before` is put in front. Raises _NotPlainError.
    """
    every = [_Written(before)]
    begins = True  # a compound begins: an element's name may follow
    for number, token in enumerate(tokens):
        following = tokens[number + 1] if number + 1 < len(tokens) else None
        match token:
            case LiteralToken(value=":") if _is_short(following):
                pass
            case FunctionBlock() if _is_short(token):
                choices = [one for part in _arguments(token) if part for one in _written_out(part)]
                if any(one.before and first.before for one in choices for first in every):
                    # `a :is(b c)`: the b may be an ancestor of the a
                    choices = [_Written(rest=f":not(:not({','.join(map(str, choices))}))")]
                joined = [_joined(*both) for both in product(every, choices)]
                every = [one for one in joined if one is not None]
            case WhitespaceToken() | LiteralToken(value=">" | "+" | "~"):
                every = [_Written(f"{one}{token.serialize()}") for one in every]
                begins = True
                continue
            case IdentToken() | LiteralToken(value="*") if begins:
                every = [_Written(one.before, token.serialize(), one.rest) for one in every]
            case _:
                more = _serialized(token)
                every = [_Written(one.before, one.name, one.rest + more) for one in every]
        begins = False
        if not 0 < len(every) <= _MOST_WRITTEN_OUT:
            raise _NotPlainError
    return every


def _is_short(token: Node | None) -> TypeGuard[FunctionBlock]:
    return isinstance(token, FunctionBlock) and token.lower_name in _SHORT


def _joined(one: _Written, other: _Written) -> _Written | None:
    """Return a selector that requires both; None if they have different names."""
    names = {each.name.lower(): each.name for each in (one, other) if each.name not in ("", "*")}
    if len(names) > 1:
        return None
    name = next(iter(names.values()), one.name or other.name)
    return _Written(one.before or other.before, name, one.rest + other.rest)


def _serialized(token: Node) -> str:
    """Return a piece of a compound, with its arguments expanded."""
    if isinstance(token, FunctionBlock) and token.lower_name == "lang":
        return f"not(:not({','.join(map(_of_language, _languages(token)))}))"
    if not isinstance(token, FunctionBlock) or token.lower_name not in _LISTS:
        return str(token.serialize())
    before = " " if token.lower_name == "has" else ""  # `:has(:is(a b))`: the a may stand around it all
    parts = [_written_out(part, before) for part in _arguments(token)]
    return f"{token.name}({','.join(str(one) for part in parts for one in part)})"


def _languages(token: FunctionBlock) -> list[str]:
    """Return the languages in `:lang()`; none if one is not plain, such as `*-CH`."""
    names = [
        one[0].value
        for one in _arguments(token)
        if len(one) == 1 and isinstance(one[0], IdentToken | StringToken)
    ]
    is_plain = all(re.fullmatch(r"[a-zA-Z0-9]+(?:-[a-zA-Z0-9]+)*", name) for name in names)
    return names if is_plain and len(names) == len(_arguments(token)) else []


def _of_language(name: str) -> str:
    """Return selectors for elements with this language, or a variant of it, as their nearest `lang`.

    `n` counts the nested elements with a `lang`, down to the nearest one.
    """
    found = []
    for n in range(1, _MOST_LANGUAGES + 1):
        deeper = " ".join(["[lang]"] * (n + 1))
        nearest = f'{"[lang] " * (n - 1)}[lang|="{name}"]:not({deeper})'
        found += [nearest, f"{nearest} :not({deeper},{deeper} *)"]
    return ",".join(found)


def _arguments(token: FunctionBlock) -> list[list[Node]]:
    return [_trimmed(part) for part in _comma_separated(token.arguments)]


def _trimmed(tokens: Sequence[Node]) -> list[Node]:
    kept = list(tokens)
    while kept and isinstance(kept[0], WhitespaceToken):
        del kept[0]
    while kept and isinstance(kept[-1], WhitespaceToken):
        del kept[-1]
    return kept


def _specificity(tokens: Sequence[Node], attributes: set[str]) -> Specificity | None:
    """Return a selector's specificity (Selectors 4, 17), and add its attributes to `attributes`."""
    ids = classes = types = 0
    before = ""  # the sign before a name: `.` of a class, `:` of a pseudo-class
    for token in tokens:
        match token:
            case LiteralToken(value="." | ":" as mark):
                if before:
                    return None  # `::` of a pseudo-element
                before = mark
                continue
            case LiteralToken(value="*" | ">" | "+" | "~") | WhitespaceToken() if not before:
                pass
            case HashToken() if not before:
                ids += 1
            case SquareBracketsBlock() if not before:
                classes += 1
                attributes |= {t.lower_value for t in token.content if isinstance(t, IdentToken)}
            case IdentToken() if before == ":":
                if token.lower_value not in _STATIC:
                    return None
                classes += 1
                attributes |= {"href"} if token.lower_value in ("link", "any-link") else set()
            case IdentToken():
                classes, types = (classes + 1, types) if before == "." else (classes, types + 1)
            case FunctionBlock() if before == ":" and token.lower_name in _STATIC:
                if token.lower_name in _LISTS:
                    inner = [_specificity(one, attributes) for one in _comma_separated(token.arguments)]
                    if None in inner:
                        return None
                    most = max(filter(None, inner), default=(0, 0, 0))
                    if token.lower_name != "where":
                        ids, classes, types = ids + most[0], classes + most[1], types + most[2]
                elif token.lower_name == "lang":
                    if not _languages(token):
                        return None
                    attributes.add("lang")
                    classes += 1
                else:
                    classes += 1
            case _:
                return None
        before = ""
    return None if before else (ids, classes, types)
