"""Inlines CSS: copies the rules of a rendered HTML part's style sheets into its `style` attributes.

Many mail programs read styles only there. `style` attributes are added or extended, and a rule is removed
from its `<style>` once all its elements have it; every other octet stays. Conditional rules are left as they
are: at-rules such as `@media`, `a:hover`, sheets for media other than screens, and those within
`<!--[if !mso]><!-->`. So are rules that a conditional comment needs, and rules with a selector that matches
nothing: many of these are for elements that a mail program adds.

css-inline only finds out which rule matches which element. It gets a skeleton of the document: its tags with
their `class`, `id` and a number, and a letter where there is text. Each rule sets a custom property instead
of its declarations, so that an element comes back with the numbers of its rules. Messages of one template
often have the same skeleton, and the answer for it is cached. `cascade` writes the `style` attributes. A
message that differs from an earlier one only in a few texts is made from that one (`inlined`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import css_inline

from campaign.message.html.cascade import restyled
from campaign.message.html.comments import Needed
from campaign.message.html.important import Claim, claimed, is_disputed, rank, with_important
from campaign.message.html.inlined import InlinedDocuments, kind_of
from campaign.message.html.markup import RAW, START, TOKEN, attributes, value_of, without_end
from campaign.message.html.sheets import Sheets, is_local
from campaign.message.html.stylesheet import Declaration, Rule, Sheet, is_for_screens, read_sheet

_ABOUT_STYLES = re.compile(r"<(?:style|link)[\s/>]|<!--\[if|<!--<!\[endif|<!\[(?:if|endif)", re.IGNORECASE)
# Both cases are written out because re.IGNORECASE makes the search for `<` slow.
_HAS_STYLES = re.compile(r"<(?:[sS][tT][yY][lL][eE]|[lL][iI][nN][kK])")
_OPENS = re.compile(r"<!--\[if [^\]]*\]>(?:<!)?-->|<!--\[if [^\]]*\]><!-- -->|<!\[if", re.IGNORECASE)
_CLOSES = re.compile(r"<!--<!\[endif\]-->|<!\[endif", re.IGNORECASE)
_UNSEEN = {"head", "meta", "title", "link", "style", "script", "base", "noscript", "template"}
_MARKED = re.compile(r' _="([0-9]+)"(?: [^\s="]+="[^"]*")*? style="([^"]*)"')
_OUT = re.compile(r'<([a-z][^\s/>]*)((?: [^\s=]+="[^"]*")*)>')
_PLACES = re.compile(r' _="([0-9]+)"')
_NUMBER = re.compile(r"--r([0-9]+):")
_ENDS_STYLE, _ESCAPED_END = re.compile("</(style)", re.IGNORECASE), r"<\\/\1"
_ONLY_COMMENTS = re.compile(r"(?:\s|/\*(?>.*?\*/)|<!--|-->|@charset[^;]*;)*", re.DOTALL | re.IGNORECASE)


class Inliner:
    """Inlines the styles of one campaign's messages. May be shared by threads."""

    def __init__(self, sheets: Sheets) -> None:
        self._sheets = sheets
        self._styles = lru_cache(maxsize=32)(self._read)
        self._inlined = InlinedDocuments()

    def inline(self, html: str) -> str:
        """Return the document with its styles inlined. Raises SheetError for a sheet that cannot be read."""
        if _HAS_STYLES.search(html) is None:
            return html
        pieces = html.split("<")
        inlined = self._inlined.inline(pieces)
        if inlined is not None:
            return inlined
        parts = TOKEN.split(html)
        tokens = parts[1::2]
        about = [
            (place, token)
            for place, token in enumerate(tokens)
            if token[1] in "sSlL!" and _ABOUT_STYLES.match(token)
        ]
        if not any(token[1] != "!" for _, token in about):
            return html
        styles = self._styles(tuple(token for _, token in about))
        texts = tuple(kind_of(text) for text in parts[::2])
        skeleton = tuple(map(styles.piece, tokens))
        plan = styles.plan(skeleton, texts)
        out = parts.copy()
        for place, given in plan.elements:
            out[2 * place + 1] = _restyled(tokens[place], given)
        for number, text in plan.sheets:
            out[2 * about[number][0] + 1] = text
        elements = dict(plan.elements)

        def restyle(place: int, token: str) -> str | None:
            if styles.piece(token) != skeleton[place]:
                return None
            given = elements.get(place)
            return token if given is None else _restyled(token, given)

        self._inlined.add(pieces, parts, out, restyle)
        return "".join(out)

    def _read(self, about: tuple[str, ...]) -> _Styles:
        found: list[_Element] = []
        others: list[tuple[int, str]] = []
        is_conditional = False
        for number, token in enumerate(about):
            if token[1] == "!":
                is_conditional = bool(_OPENS.match(token)) or (is_conditional and not _CLOSES.match(token))
                continue
            element = self._element(number, token)
            if element is None:
                continue
            if element.is_for_screens and not is_conditional:
                found.append(element)
            elif element.is_linked:
                others.append((number, element.with_text(element.sheet.text)))
        return _Styles(found, others, Needed.of(token for token in about if token[1] == "!"))

    def _element(self, number: int, token: str) -> _Element | None:
        """Return a `<style>` or `<link>` with its sheet; None if it is not a sheet to inline."""
        named = {one.name: value_of(token[one.start : one.end]).strip() for one in attributes(_tag_of(token))}
        if named.get("type", "").lower() not in ("", "text/css") or named.get("data-css-inline") == "ignore":
            return None
        media = named.get("media", "")
        if token[1] in "sS":
            tag = _tag_of(token)
            content = without_end(token[len(tag) :])
            css = self._sheets.with_imports(content)
            return _Element(number, tag, media, read_sheet(css), css != content)
        rel = named.get("rel", "").lower().split()
        if "stylesheet" not in rel or "alternate" in rel or not is_local(named.get("href", "")):
            return None
        text = self._sheets.linked(named["href"])
        tag = f'<style media="{media}">' if media and '"' not in media else "<style>"
        return _Element(number, tag, media, read_sheet(text), True)


@dataclass(frozen=True, slots=True)
class _Element:
    """A `<style>`, or a `<link>` that becomes one; `number` counts the document's tokens about styles."""

    number: int
    tag: str
    media: str
    sheet: Sheet
    is_linked: bool  # all or some of its sheet was read from a file

    @property
    def is_for_screens(self) -> bool:
        return is_for_screens(self.media)

    def with_text(self, css: str) -> str:
        """Return the element with these rules instead; "" if there are none."""
        if _ONLY_COMMENTS.fullmatch(css):
            return ""
        return f"{self.tag}{_ENDS_STYLE.sub(_ESCAPED_END, css)}</style>"


class _Given:
    """Declarations to add to an element, weaker and stronger than its own. Compared by identity."""

    def __init__(self, normal: tuple[Declaration, ...], strong: tuple[Declaration, ...]) -> None:
        self.normal = normal
        self.strong = strong


@lru_cache(maxsize=8192)
def _restyled(tag: str, given: _Given) -> str:
    return restyled(tag, given.normal, given.strong)


@dataclass(frozen=True, slots=True)
class _Plan:
    """The changes to documents with one skeleton: tokens by their place, sheets by their number."""

    elements: tuple[tuple[int, _Given], ...]
    sheets: tuple[tuple[int, str], ...]


class _Styles:
    """The style sheets of a document, and their effect on a skeleton."""

    def __init__(self, elements: list[_Element], others: list[tuple[int, str]], needed: Needed) -> None:
        self._elements = elements
        self._others = others
        self._rules = [rule for element in elements for rule in element.sheet.rules]
        selectors = [(number, one) for number, rule in enumerate(self._rules) for one in rule.selectors]
        self._rule_of = [number for number, _ in selectors]
        self._selectors = [one for _, one in selectors]
        self._attributes = {"class", "id"}.union(*(one.attributes for one in self._selectors))
        # Finds any of them. An attribute begins after white space, a slash, or the value before it.
        names = "|".join(map(re.escape, sorted(self._attributes)))
        self._may_have = re.compile(rf"[\s/\"'](?:{names})(?![^\s/>=])", re.IGNORECASE)
        css = "".join(f"{one.text}{{--r{number}:0}}" for number, one in enumerate(self._selectors))
        self._matcher = css_inline.CSSInliner(extra_css=css, load_remote_stylesheets=False)
        important = [
            frozenset(one.name for one in rule.declarations if one.important) for rule in self._rules
        ]
        self._strong = {number: names for number, names in enumerate(important) if names}
        self._claims = [
            claimed(one, first)
            for element, first in zip(elements, self._first_rules(), strict=True)
            for one in element.sheet.staying
        ]
        self._needed = {
            number
            for number, rule in enumerate(self._rules)
            if rule.stays
            or any(needed.may_match(one.text) for one in rule.selectors)
            or is_disputed(rule, number, self._claims)
        }
        self._gives = lru_cache(maxsize=4096)(self._give)
        self.piece = lru_cache(maxsize=8192)(self._piece)
        self.plan = lru_cache(maxsize=256)(self._plan)

    def _piece(self, token: str) -> str:
        """Return a token for the skeleton: a start tag without `>`, an end tag, a doctype, or ""."""
        if token[1] == "!":
            return token if token[2:9].lower() == "doctype" else ""
        if token[1] == "/":
            return token
        named = START.match(token)
        if named is None:
            return ""
        if self._may_have.search(token, named.end(1), named.end()) is None:
            return f"<{named[1]}"  # most links, so that the skeleton is the same for every row
        kept = [f"<{named[1]}"]
        for one in attributes(_tag_of(token)):
            if one.name in self._attributes:
                quote, value = one.quote or '"', token[one.start : one.end]
                value = value if one.quote else value.replace('"', "&quot;")
                kept.append(f" {one.name}={quote}{value}{quote}")
        return "".join(kept)

    def _plan(self, pieces: tuple[str, ...], texts: tuple[str, ...]) -> _Plan:
        elements, implied = self._matches(pieces, texts) if self._rules else ({}, set())
        everywhere = implied.union(*elements.values())
        used = {number for number, one in enumerate(self._rule_of) if number in everywhere}
        kept = self._needed | {self._rule_of[number] for number in implied}
        kept |= {rule for number, rule in enumerate(self._rule_of) if number not in used}
        strong = frozenset(kept.intersection(self._strong))
        given = tuple((place, self._gives(numbers, strong)) for place, numbers in elements.items() if numbers)
        return _Plan(given, tuple(self._left(kept)))

    def _matches(
        self, pieces: tuple[str, ...], texts: tuple[str, ...]
    ) -> tuple[dict[int, tuple[int, ...]], set[int]]:
        """Return which selectors match each token, by its place, and which match elements without a tag."""
        # A text reopens unclosed elements, as <i> in <b><i>a</b>b</i>.
        skeleton = "".join(
            f"{text}{piece} _={place}>{_end_of_raw(piece)}"
            if piece[:1] == "<" and piece[1] not in "/!"
            else text + piece
            for place, (text, piece) in enumerate(zip(texts, (*pieces, ""), strict=True))
        )
        out = self._matcher.inline(skeleton)
        found = _MARKED.findall(out)
        elements = {int(place): _numbers(style) for place, style in found}
        numbers = _PLACES.findall(out)
        if len(found) == out.count(' style="') and len(set(numbers)) == len(numbers):
            seen = {place: own for place, own in elements.items() if _name(pieces[place]) not in _UNSEEN}
            return seen, set()
        return _with_implied(out)

    def _give(self, selectors: tuple[int, ...], strong: frozenset[int]) -> _Given:
        """Return the declarations that rules give an element, in the order of the cascade.

        `strong` are the rules with `!important` that also stay in a sheet.
        """
        strongest: dict[int, tuple[int, int, int]] = {}
        for number in selectors:
            rule, weight = self._rule_of[number], self._selectors[number].specificity
            strongest[rule] = max(weight, strongest.get(rule, weight))
        order = sorted(strongest, key=lambda rule: (strongest[rule], rule))
        declared = [
            (rank(strongest[rule], rule), one) for rule in order for one in self._rules[rule].declarations
        ]
        claims = [Claim(self._strong[rule], rank(strongest[rule], rule)) for rule in order if rule in strong]
        return _Given(
            tuple(one for _, one in declared if not one.important),
            with_important([both for both in declared if both[1].important], [*self._claims, *claims]),
        )

    def _first_rules(self) -> list[int]:
        """Return the number of each sheet's first rule."""
        return [*accumulate((len(element.sheet.rules) for element in self._elements), initial=0)][:-1]

    def _left(self, kept: set[int]) -> Iterator[tuple[int, str]]:
        """Yield the sheets that change, without the rules that are inlined now."""
        yield from self._others
        for element, first in zip(self._elements, self._first_rules(), strict=True):
            rules = element.sheet.rules
            gone = [rule for number, rule in enumerate(rules, first) if number not in kept]
            if gone or element.is_linked:
                yield element.number, element.with_text(_without(element.sheet.text, gone))


def _without(text: str, rules: Iterable[Rule]) -> str:
    left, at = [], 0
    for rule in rules:
        left.append(text[at : rule.start].rstrip(" \t"))
        at = rule.end
    left.append(text[at:])
    return re.sub(r"\n\s*\n", "\n", "".join(left))


def _with_implied(out: str) -> tuple[dict[int, tuple[int, ...]], set[int]]:
    """As `_matches`, for a document with elements without a tag, or tags that make two elements."""
    elements: dict[int, tuple[int, ...]] = {}
    implied: set[int] = set()
    for name, written in _OUT.findall(out):
        numbers, place = _numbers(written), _PLACES.search(written)
        if name in _UNSEEN:
            continue
        if place is None:
            implied.update(numbers)
        elif elements.setdefault(int(place[1]), numbers) != numbers:
            # From <b><i>a</b>b</i> the parser makes two <i>, and different rules may match them.
            implied.update(numbers, elements[int(place[1])])
            elements[int(place[1])] = ()
    return elements, implied


@lru_cache(maxsize=4096)
def _numbers(style: str) -> tuple[int, ...]:
    """Return the numbers of the selectors in a `style` from css-inline."""
    return tuple(int(number) for number in _NUMBER.findall(style))


def _tag_of(token: str) -> str:
    """Return the start tag of a token; the element's text may follow it there."""
    named = START.match(token)
    return named[0] if named else token


@lru_cache(maxsize=4096)
def _end_of_raw(piece: str) -> str:
    name = _name(piece)
    return f"</{name}>" if name in RAW else ""


@lru_cache(maxsize=4096)
def _name(piece: str) -> str:
    return piece[1:].partition(" ")[0].lower()
