"""Parses CSS for the inliner into rules that can be moved to `style` attributes, and those that cannot.

A rule can be moved if one of its selectors depends only on the document: `.a > td:first-child`, but not
`a:hover` or `p::first-line`. A rule inside an at-rule such as `@media` never can, because it is conditional.
Positions refer to the sheet's own text, so that what is left of it stays as written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import tinycss2
from tinycss2.ast import (
    AtRule,
    CurlyBracketsBlock,
    FunctionBlock,
    IdentToken,
    Node,
    ParseError,
    QualifiedRule,
    StringToken,
    URLToken,
)
from tinycss2.ast import Declaration as DeclarationNode

from campaign.message.html.selectors import Selector, Specificity, read_selectors, strongest

_DEEPEST = 100
_BRACKET = re.compile(r"[()\[\]{}]")
_EVERYWHERE = {"", "all", "screen", "only screen"}


@dataclass(frozen=True, slots=True)
class Declaration:
    """A property, its value as written, and whether it has `!important`."""

    name: str
    value: str
    important: bool = False

    def __str__(self) -> str:
        return f"{self.name}:{self.value}{'!important' if self.important else ''}"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that can be inlined, from `start` to `end` of its sheet's text.

    `stays`: it also has selectors such as `a:hover`, and for them it stays in the sheet.
    """

    selectors: tuple[Selector, ...]
    declarations: tuple[Declaration, ...]
    start: int
    end: int
    stays: bool


@dataclass(frozen=True, slots=True)
class Import:
    """An `@import` at the head of a sheet: the address, and its media ("" for all).

    `within` are at-rules to put around the imported text: for its layer, and for its conditions.
    """

    address: str
    within: tuple[str, ...]
    media: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Staying:
    """The properties that a rule that cannot be inlined sets with `!important`.

    `specificity` is None if it is unknown, or a layer makes it the strongest. `behind`: how many rules
    before it can be inlined.
    """

    properties: frozenset[str]
    specificity: Specificity | None
    behind: int


@dataclass(frozen=True, slots=True)
class Sheet:
    """A style sheet's text, the rules that can be inlined, those that stay, and its imports.

    `layers` are the `@layer` statements before the imports.
    """

    text: str
    rules: tuple[Rule, ...]
    staying: tuple[Staying, ...]
    imports: tuple[Import, ...]
    layers: str


@lru_cache(maxsize=128)
def read_sheet(text: str) -> Sheet:
    """Parse a style sheet. What browsers skip is skipped; nothing is raised."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n").replace("\0", "\ufffd")
    nodes = tinycss2.parse_stylesheet(text) if is_shallow(text) else []
    begin = _places(text, nodes)
    rules: list[Rule] = []
    staying: list[Staying] = []
    imports: list[Import] = []
    layers = ""
    at_head = True  # CSS Cascade 5, 2: after any other rule, an @import is invalid
    for node, start, end in zip(nodes, begin, [*begin, len(text)][1:], strict=True):
        if isinstance(node, QualifiedRule):
            at_head = False
            rule = _rule(node, start, end)
            if rule is not None:
                rules.append(rule)
            if rule is None or rule.stays:
                staying += _staying(node, len(rules))
        elif isinstance(node, AtRule) and node.lower_at_keyword == "layer" and node.content is None:
            at_head = at_head and not imports
            layers += text[start:end] if at_head else ""
        elif isinstance(node, AtRule) and node.lower_at_keyword != "import":
            at_head = at_head and node.lower_at_keyword == "charset"
            staying += _staying(node, len(rules))
        elif isinstance(node, AtRule) and at_head:
            found = _import(node, start, end)
            if found is not None:
                imports.append(found)
    return Sheet(text, tuple(rules), tuple(staying), tuple(imports), layers)


def is_shallow(text: str) -> bool:
    """Whether brackets are not nested too deeply for tinycss2, which recurses to serialize them.

    Deeper text stays as it is written, and is not parsed: no browser accepts it as a style either.
    """
    depth = 0
    if sum(map(text.count, "([{")) > _DEEPEST:
        for bracket in _BRACKET.finditer(text):
            depth += 1 if bracket[0] in "([{" else -1 if depth else 0
            if depth > _DEEPEST:
                return False
    return True


def is_for_screens(media: str) -> bool:
    """Whether a `media` attribute or the media of an `@import` includes every screen."""
    return any(" ".join(one.split()).lower() in _EVERYWHERE for one in media.split(","))


@lru_cache(maxsize=4096)
def read_declarations(text: str) -> tuple[tuple[Declaration, ...], bool]:
    """Return the declarations of a `style` attribute, and whether all of it could be parsed."""
    if not is_shallow(text):
        return (), False
    nodes = tinycss2.parse_blocks_contents(text, skip_comments=True, skip_whitespace=True)
    complete = all(isinstance(node, DeclarationNode) and not _faults(node.value) for node in nodes)
    return tuple(_declarations(nodes)), complete


def first_fault(text: str) -> tuple[int, int] | None:
    """Return the start and end of the first piece of a `style` attribute that is not a declaration."""
    if not is_shallow(text):
        return 0, len(text)
    nodes = tinycss2.parse_blocks_contents(text, skip_comments=True, skip_whitespace=True)
    for node, at in zip(nodes, _places(text, nodes), strict=True):
        if isinstance(node, DeclarationNode) and not _faults(node.value):
            continue
        end = text.find(";", at)
        end = end if end >= 0 else len(text)
        # tinycss2 gives the end of a piece that is not a declaration at all.
        return (text.rfind(";", 0, at) + 1 if isinstance(node, ParseError) else at), end
    return None


def _places(text: str, nodes: Iterable[Node]) -> list[int]:
    """Return where each node begins in the text."""
    lines = [0, *(line.end() for line in re.finditer("\n", text))]
    return [lines[node.source_line - 1] + node.source_column - 1 for node in nodes]


def _rule(node: QualifiedRule, start: int, end: int) -> Rule | None:
    nodes = tinycss2.parse_blocks_contents(node.content, skip_comments=True, skip_whitespace=True)
    if any(isinstance(inner, QualifiedRule | AtRule) for inner in nodes):
        return None  # nested rules have conditions of their own
    selectors, stays = read_selectors(node.prelude)
    return Rule(selectors, tuple(_declarations(nodes)), start, end, stays) if selectors else None


def _staying(node: Node, behind: int, *, is_known: bool = True) -> Iterator[Staying]:
    if not isinstance(node, QualifiedRule | AtRule) or node.content is None:
        return
    nodes = tinycss2.parse_blocks_contents(node.content, skip_comments=True, skip_whitespace=True)
    names = frozenset(one.name for one in _declarations(nodes) if one.important)
    is_rule = isinstance(node, QualifiedRule)
    if names:
        yield Staying(names, strongest(node.prelude) if is_known and is_rule else None, behind)
    is_known = is_known and isinstance(node, AtRule) and node.lower_at_keyword != "layer"
    for inner in nodes:
        yield from _staying(inner, behind, is_known=is_known)


def _declarations(nodes: Iterable[Node]) -> Iterator[Declaration]:
    for node in nodes:
        if isinstance(node, DeclarationNode) and not _faults(node.value):
            value = " ".join(tinycss2.serialize(node.value).split("\n")).strip()
            if value:
                yield Declaration(
                    node.name if node.name[:2] == "--" else node.lower_name, value, node.important
                )


def _faults(tokens: Iterable[Node]) -> bool:
    """Whether tokens contain what ends a declaration in browsers: a stray bracket, an unclosed string."""
    return any(isinstance(token, ParseError | CurlyBracketsBlock) for token in tokens)


def _import(node: AtRule, start: int, end: int) -> Import | None:
    tokens = [token for token in node.prelude if token.type not in ("whitespace", "comment")]
    if node.content is not None or not tokens:
        return None
    match tokens[0]:
        case FunctionBlock(lower_name="url", arguments=[*arguments]):
            address = "".join(one.value for one in arguments if isinstance(one, StringToken))
        case URLToken(value=value) | StringToken(value=value):
            address = value
        case _:
            return None
    within = []
    last, *others = tokens
    for token in others:  # CSS Cascading 5, 2: first the layer, then what must be supported, then the media
        match token:
            case IdentToken(lower_value="layer"):
                within.append("@layer")
            case FunctionBlock(lower_name="layer"):
                within.append(f"@layer {tinycss2.serialize(token.arguments).strip()}")
            case FunctionBlock(lower_name="supports"):
                within.append(f"@supports ({tinycss2.serialize(token.arguments).strip()})")
            case _:
                break
        last = token
    media = tinycss2.serialize(node.prelude[node.prelude.index(last) + 1 :]).strip()
    return Import(address, tuple(within), media, start, end)
