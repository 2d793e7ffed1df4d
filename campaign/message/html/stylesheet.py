"""CSS → what the inliner works with: rules that can stand in a `style` attribute, and all that cannot.

A rule can where a selector of it is about the document alone: `.a > td:first-child`, and not `a:hover`
or `p::first-line`. What stands below an at-rule such as `@media` never can, as it holds only
under a condition. Positions are in the sheet's own text, so that what is left of it stays as written.
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
    """A property, its value as written, and whether `!important` stands behind it."""

    name: str
    value: str
    important: bool = False

    def __str__(self) -> str:
        return f"{self.name}:{self.value}{'!important' if self.important else ''}"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that can be inlined; it stands at `start` to `end` of its sheet's text.

    `stays`: it has other selectors too, such as `a:hover`, for which it is left in the sheet.
    """

    selectors: tuple[Selector, ...]
    declarations: tuple[Declaration, ...]
    start: int
    end: int
    stays: bool


@dataclass(frozen=True, slots=True)
class Import:
    """An `@import` at the head of a sheet: the address, and the media that it is for ("" for all).

    `within` are at-rules that say the same of what is imported: its layer, and what must be supported.
    """

    address: str
    within: tuple[str, ...]
    media: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Staying:
    """The properties that a rule sets with `!important` which cannot be inlined.

    `specificity` is None where it is not known, or a layer makes it the strongest. `behind` counts the
    rules that can be inlined and stand before it.
    """

    properties: frozenset[str]
    specificity: Specificity | None
    behind: int


@dataclass(frozen=True, slots=True)
class Sheet:
    """A style sheet's text, its rules that can be inlined, those that stay, and what it imports.

    `layers` are the `@layer` statements in front of the imports.
    """

    text: str
    rules: tuple[Rule, ...]
    staying: tuple[Staying, ...]
    imports: tuple[Import, ...]
    layers: str


@lru_cache(maxsize=128)
def read_sheet(text: str) -> Sheet:
    """Return what is in a style sheet. What browsers skip is skipped; nothing is raised."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n").replace("\0", "\ufffd")
    nodes = tinycss2.parse_stylesheet(text) if is_shallow(text) else []
    begin = _places(text, nodes)
    rules: list[Rule] = []
    staying: list[Staying] = []
    imports: list[Import] = []
    layers = ""
    at_head = True  # CSS Cascade 5, 2: behind any other rule, an @import is not valid
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
    """Whether brackets stand in brackets no deeper than tinycss2, which recurses, can write them.

    What is deeper stays as it is written, and is not looked at: no browser takes it for a style either.
    """
    depth = 0
    if sum(map(text.count, "([{")) > _DEEPEST:
        for bracket in _BRACKET.finditer(text):
            depth += 1 if bracket[0] in "([{" else -1 if depth else 0
            if depth > _DEEPEST:
                return False
    return True


def is_for_screens(media: str) -> bool:
    """Whether a `media` attribute or the media of an `@import` lets rules hold on every screen."""
    return any(" ".join(one.split()).lower() in _EVERYWHERE for one in media.split(","))


@lru_cache(maxsize=4096)
def read_declarations(text: str) -> tuple[tuple[Declaration, ...], bool]:
    """Return the declarations of a `style` attribute, and whether all of it could be read."""
    if not is_shallow(text):
        return (), False
    nodes = tinycss2.parse_blocks_contents(text, skip_comments=True, skip_whitespace=True)
    whole = all(isinstance(node, DeclarationNode) and not _faults(node.value) for node in nodes)
    return tuple(_declarations(nodes)), whole


def first_fault(text: str) -> tuple[int, int] | None:
    """Return where the first piece of a `style` attribute begins and ends that is no declaration."""
    if not is_shallow(text):
        return 0, len(text)
    nodes = tinycss2.parse_blocks_contents(text, skip_comments=True, skip_whitespace=True)
    for node, at in zip(nodes, _places(text, nodes), strict=True):
        if isinstance(node, DeclarationNode) and not _faults(node.value):
            continue
        end = text.find(";", at)
        end = end if end >= 0 else len(text)
        # A piece that is no declaration at all is named where it ends.
        return (text.rfind(";", 0, at) + 1 if isinstance(node, ParseError) else at), end
    return None


def _places(text: str, nodes: Iterable[Node]) -> list[int]:
    """Return where each node begins in the text."""
    lines = [0, *(line.end() for line in re.finditer("\n", text))]
    return [lines[node.source_line - 1] + node.source_column - 1 for node in nodes]


def _rule(node: QualifiedRule, start: int, end: int) -> Rule | None:
    nodes = tinycss2.parse_blocks_contents(node.content, skip_comments=True, skip_whitespace=True)
    if any(isinstance(inner, QualifiedRule | AtRule) for inner in nodes):
        return None  # nested rules hold under conditions of their own
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
    """Whether tokens hold what ends a declaration for browsers: a stray bracket, a string without end."""
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
