"""A rule under `@media` that an inline style overrides, so that it has no effect.

A style attribute wins over every selector (CSS Cascading 6.4), and the inliner puts the rules from outside
`@media` there: with `.m{display:none}` and `@media (max-width:480px){.m{display:block}}`, the element stays
hidden. `!important` in the rule under `@media` wins. The same is true of `<style media="…">`, `@supports`
and `@container`, of rules that contain nested ones, and of selectors with `:nth-child(2 of .a)` or
`:dir(rtl)`: none of these is inlined. Rules for print, and for an element in a state such as `:hover`, are
not checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html.parser import HTMLParser

import tinycss2
from tinycss2.ast import AtRule, Declaration, Node, QualifiedRule

from campaign.checks.checked import Checked
from campaign.checks.finding import Finding
from campaign.checks.page import Tag, tag, written_tags
from campaign.checks.rule import Rule
from campaign.checks.seen import Seen
from campaign.message.html.important import concern_one
from campaign.message.html.stylesheet import is_shallow
from campaign.model import Recipient

_PLAIN = re.compile(r"(?:[a-zA-Z][\w-]*|\*)?(?:[.#][\w-]+)*")
_PIECE = re.compile(r"([.#]?)([\w-]+|\*)")
# Pseudo-classes that the inliner cannot match, although they are no state; they may match any element.
_NOT_FOUND = re.compile(
    r":(?:nth-(?:last-)?child\([^()]* of (?:[^(),]|\([^()]*\))*\)|dir\([^()]*\)|lang\([^()]*\*[^()]*\))"
)
_VOID = frozenset(
    {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)
_CONDITIONS = ("media", "supports", "container")
_MOST_KEPT = 256  # cached answers of `_lies_below`


@dataclass(frozen=True, slots=True)
class _Compound:
    """A compound selector: the conditions that one element must meet."""

    name: str
    ids: frozenset[str]
    classes: frozenset[str]

    def matches(self, tag: Tag) -> bool:
        return (
            self.name in ("", "*", tag.name)
            and self.classes <= frozenset(tag.attributes.get("class", "").split())
            and self.ids <= frozenset({tag.attributes["id"]} if "id" in tag.attributes else ())
        )


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A declaration without `!important` that is not inlined; its selector's last compound, and others."""

    selector: str
    last: _Compound
    before: tuple[_Compound, ...]
    property: str
    value: str
    condition: str


@dataclass(frozen=True, slots=True, eq=False)
class _Sheet:
    """The declarations in a message's style elements that are not inlined; equal sheets are one object."""

    wanted: tuple[_Wanted, ...]


class Check(Rule):
    """Reports rules under `@media` that inline styles override."""

    def __init__(self, checked: Checked, name: str) -> None:
        super().__init__(checked, name)
        self._below: dict[tuple[_Wanted, tuple[str, ...]], bool] = {}

    def see(self, recipient: Recipient, message: Seen) -> Iterator[Finding]:
        page = message.page
        if page is None:
            return
        sheet = _read(page.sheets)
        if not sheet.wanted:
            return
        beaten: dict[_Wanted, None] = {}
        for each in page.tags:
            if "style" in each.attributes:
                beaten.update(dict.fromkeys(_beaten(sheet, each)))
        told: dict[tuple[str, str], list[str]] = {}
        for one in beaten:
            if not one.before or self._lies_below(one, sheet, page.body):
                told.setdefault((one.selector, one.condition), []).append(one.property)
        for (selector, condition), properties in told.items():
            names = ", ".join(properties)
            what = f"{names} of `{selector}` {condition} has no effect, since the element's style"
            yield self.find(self.at(self.in_html(selector), f"{what} has it too; add !important"))

    def _lies_below(self, one: _Wanted, sheet: _Sheet, body: str) -> bool:
        """Whether an element whose style wins also matches the rest of the selector.

        This parses the HTML as a tree, which is slow; messages with the same elements share the result.
        """
        alike = one, tuple(map(_shape, written_tags(body)))
        if alike not in self._below:
            if len(self._below) >= _MOST_KEPT:
                self._below.clear()
            reader = _Reader(one, sheet)
            reader.feed(body)
            self._below[alike] = reader.found
        return self._below[alike]


@lru_cache(maxsize=4096)
def _shape(written: str) -> str:
    """Return the relevant parts of a tag: its name, and the attributes that selectors and styles use."""
    if written[1] == "/":
        return written
    read = tag(written)
    return repr((read.name, *(read.attributes.get(name) for name in ("id", "class", "style"))))


class _Reader(HTMLParser):
    """Looks for an element whose style overrides a declaration, below the ancestors that it requires."""

    def __init__(self, wanted: _Wanted, sheet: _Sheet) -> None:
        super().__init__()
        self.found = False
        self._wanted, self._sheet = wanted, sheet
        self._above: list[Tag] = []

    def handle_starttag(self, name: str, attrs: object) -> None:
        read = tag(self.get_starttag_text() or f"<{name}>")
        if self._wanted in _beaten(self._sheet, read):
            above = iter(self._above)
            self.found |= all(any(compound.matches(one) for one in above) for compound in self._wanted.before)
        if name not in _VOID:
            self._above.append(read)

    def handle_endtag(self, name: str) -> None:
        for depth in range(len(self._above) - 1, -1, -1):
            if self._above[depth].name == name:
                del self._above[depth:]
                return


@lru_cache(maxsize=64)
def _read(styles: tuple[str, ...]) -> _Sheet:
    return _Sheet(tuple(one for style in styles for one in _wanted(style)))


def _wanted(style: str) -> Iterator[_Wanted]:
    nodes = tinycss2.parse_stylesheet(
        style if is_shallow(style) else "", skip_comments=True, skip_whitespace=True
    )
    for node in nodes:
        if isinstance(node, AtRule):
            yield from _under(node)
        elif isinstance(node, QualifiedRule) and "{" in tinycss2.serialize(node.content):
            yield from _of_nested(node)
        elif isinstance(node, QualifiedRule) and _NOT_FOUND.search(tinycss2.serialize(node.prelude)):
            yield from _of_rule(node, "in the style sheet")


def _under(at: AtRule) -> Iterator[_Wanted]:
    condition = tinycss2.serialize(at.prelude).strip()
    keyword = at.lower_at_keyword
    is_for_print = keyword == "media" and re.match(r"(?:only\s+)?print", condition)
    if keyword not in _CONDITIONS or at.content is None or is_for_print:
        return
    for node in tinycss2.parse_rule_list(at.content, skip_comments=True, skip_whitespace=True):
        if isinstance(node, QualifiedRule):
            yield from _of_rule(node, f"under `@{keyword} {condition}`")
        elif isinstance(node, AtRule):
            yield from _under(node)


def _of_nested(rule: QualifiedRule, outer: Sequence[Node] = ()) -> Iterator[_Wanted]:
    """Yield the declarations of a rule that contains nested ones, and those of the nested ones."""
    prelude = tinycss2.parse_component_value_list(_nested(outer, rule.prelude))
    inner = tinycss2.parse_blocks_contents(rule.content, skip_comments=True, skip_whitespace=True)
    rules = [node for node in inner if isinstance(node, QualifiedRule)]
    if outer or rules or any(isinstance(node, AtRule) for node in inner):
        yield from _of_rule(rule, "among nested rules", prelude)
    for node in rules:
        yield from _of_nested(node, prelude)


def _nested(outer: Sequence[Node], prelude: Sequence[Node]) -> str:
    """Return the selectors of a nested rule as they would be written without nesting."""
    around = [one.strip() for one in tinycss2.serialize(outer).split(",")]
    inside = [one.strip() for one in tinycss2.serialize(prelude).split(",")]
    both = [one.replace("&", above) if "&" in one else f"{above} {one}" for above in around for one in inside]
    return ",".join(both[:_MOST_KEPT])


def _of_rule(rule: QualifiedRule, condition: str, prelude: Sequence[Node] | None = None) -> Iterator[_Wanted]:
    content: Sequence[Node] = rule.content
    declarations = [
        one
        for one in tinycss2.parse_blocks_contents(content, skip_comments=True, skip_whitespace=True)
        if isinstance(one, Declaration) and not one.important and not one.name.startswith(("-", "--"))
    ]
    for selector in tinycss2.serialize(prelude or rule.prelude).split(",") if declarations else ():
        selector = " ".join(selector.split())
        compounds = [_compound(part) for part in re.split(r"\s*[ >+~]\s*", _NOT_FOUND.sub("", selector))]
        last, before = compounds[-1], tuple(compound for compound in compounds[:-1] if compound is not None)
        # `*` is for resets, which are meant to be overridden.
        if last is None or last.name == "*" or len(before) < len(compounds) - 1:
            continue
        for one in declarations:
            value = tinycss2.serialize(one.value).strip()
            yield _Wanted(selector, last, before, one.lower_name, value, condition)


def _compound(text: str) -> _Compound | None:
    """Parse `td.a#b`; return None if it contains anything else, such as `:hover` or `[class]`."""
    if not text or _PLAIN.fullmatch(text) is None:
        return None
    pieces = _PIECE.findall(text)
    words = {mark: frozenset(word for its, word in pieces if its == mark) for mark in (".", "#")}
    name = next((word.lower() for mark, word in pieces if not mark), "")
    return _Compound(name, words["#"], words["."])


@lru_cache(maxsize=4096)
def _beaten(sheet: _Sheet, tag: Tag) -> tuple[_Wanted, ...]:
    meant = [one for one in sheet.wanted if one.last.matches(tag)]
    inline = _inline(tag.style) if meant else {}
    return tuple(
        one
        for one in meant
        if any(
            concern_one(one.property, name) and not _equal(value, one.value) for name, value in inline.items()
        )
    )


def _inline(style: str) -> dict[str, str]:
    parsed = tinycss2.parse_blocks_contents(
        style if is_shallow(style) else "", skip_comments=True, skip_whitespace=True
    )
    return {
        one.lower_name: tinycss2.serialize(one.value).strip()
        for one in parsed
        if isinstance(one, Declaration)
    }


def _equal(one: str, other: str) -> bool:
    return one == other or {one, other} == {"0", "0px"}
