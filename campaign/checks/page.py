"""Split an HTML part into the pieces that rules look at: tags, links, images, style elements, visible text.

It is read with a few regular expressions instead of a parser, because every row's message is looked at.
Nearly all of its tags are those of the previous message, so their parsed form is cached. Comments are left
out: only Outlook reads them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property, lru_cache
from html import unescape

from campaign.message.html.markup import value_of
from campaign.message.html.stylesheet import is_for_screens

# Character classes instead of (?i): the search for `<` is fast only if case is not ignored.
_APART = re.compile(
    r"<(?:!(--)|([sS][tT][yY][lL][eE])(?:\s[^>]*)?>"
    r"|([sS][cC][rR][iI][pP][tT])(?:\s[^>]*)?>|([tT][iI][tT][lL][eE])(?:\s[^>]*)?>)"
)
_ENDS = tuple(
    map(
        re.compile,
        (
            r"-->",
            r"</[sS][tT][yY][lL][eE]\s*>",
            r"</[sS][cC][rR][iI][pP][tT]\s*>",
            r"</[tT][iI][tT][lL][eE]\s*>",
        ),
    )
)
_STYLE = 1  # of these
_TAG = re.compile(r"""<[a-zA-Z](?>(?:[^<>"']++|"[^"]*+"|'[^']*+')*)>""")
_ANY_TAG = re.compile(r"""</?[a-zA-Z](?>(?:[^<>"']++|"[^"]*+"|'[^']*+')*)>""")
_ANCHOR = re.compile(r"""<[aA]\s(?>(?:[^<>"']++|"[^"]*+"|'[^']*+')*)>""")
_ENDS_A = re.compile(r"/[aA]\s*>")  # after a `<`
_ENDS_ANCHOR = re.compile(r"</[aA]\s*>")
_NAME = re.compile(r"<([a-zA-Z][^\s/>]*)")
_ATTRIBUTE = re.compile(r"""([^\s"'<>/=]+)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s"'>]+))?""")
_BLANKS = re.compile(r"[\s\u00a0\u200b\u200c\u200d\u034f\u00ad\ufeff]+")


@dataclass(frozen=True, slots=True, eq=False)
class Tag:
    """A start tag: its name and attribute names in lower case, values with references decoded.

    `raw` has the values as they are written. Equal tags of a campaign are the same object.
    """

    written: str
    name: str
    attributes: Mapping[str, str]
    raw: Mapping[str, str]

    @property
    def style(self) -> str:
        """The inline style."""
        return self.attributes.get("style", "")


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """An `<a>` with an `href`: its start tag, and the HTML inside it."""

    tag: Tag
    inside: str

    @property
    def text(self) -> str:
        """The visible text of the link."""
        return _shown_inside(self.inside)


@lru_cache(maxsize=64)
def _sheet(written: str, text: str) -> str:
    media = tag(written).attributes.get("media", "")
    return text if is_for_screens(media) else f"@media {media}{{{text}}}"


class Page:
    """One HTML part; `html` is its source."""

    def __init__(self, html: str) -> None:
        self.html = html

    @cached_property
    def _parted(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """Return `body`, and the start tag and the text of each style element, in linear time."""
        html, at = self.html, 0
        shown, styles = [], []
        endless: set[int] = set()  # kinds of elements that begin and never end
        begin = _APART.search(html)
        while begin is not None:
            kind = begin.lastindex or 0
            end = None if kind in endless else _ENDS[kind - 1].search(html, begin.end())
            if end is None:
                endless.add(kind)
                begin = _APART.search(html, begin.end())
                continue
            shown.append(html[at : begin.start()])
            if kind - 1 == _STYLE:
                styles.append((begin[0], html[begin.end() : end.start()]))
            at = end.end()
            begin = _APART.search(html, at)
        return "".join([*shown, html[at:]]), tuple(style for style in styles if style[1])

    @property
    def body(self) -> str:
        """The HTML without comments, style elements, scripts and the title."""
        return self._parted[0]

    @property
    def styles(self) -> tuple[str, ...]:
        """The texts of the style elements."""
        return tuple(text for _, text in self._parted[1])

    @cached_property
    def sheets(self) -> tuple[str, ...]:
        """The same as complete style sheets: an element's `media` attribute becomes an `@media` around it."""
        return tuple(_sheet(written, text) for written, text in self._parted[1])

    @cached_property
    def pieces(self) -> list[str]:
        """The pieces of the body between one `<` and the next."""
        return self.body.split("<")

    @cached_property
    def _read(self) -> list[_Piece] | None:
        """Each of the pieces, parsed; None if one is ambiguous."""
        try:
            return [*map(_piece, self.pieces)]
        except _Ambiguous:
            return None

    @cached_property
    def nodes(self) -> list[str]:
        """The texts between tags, references not decoded; approximate if an attribute contains a `>`."""
        if self._read is None:
            return [piece.partition(">")[2] or piece for piece in self.pieces]
        return [piece.text for piece in self._read]

    @cached_property
    def tags(self) -> list[Tag]:
        """The start tags, without duplicates."""
        if self._read is None:
            return [tag(written) for written in dict.fromkeys(_TAG.findall(self.body))]
        return [tag for tag in dict.fromkeys([piece.tag for piece in self._read]) if tag is not None]

    @cached_property
    def links(self) -> list[Link]:
        """The links."""
        anchors = _anchors(self.body) if self._read is None else _between(self.pieces, self._read)
        return [link for found in dict.fromkeys(anchors) if (link := _link(*found))]

    @cached_property
    def images(self) -> list[Tag]:
        """The images."""
        return [tag for tag in self.tags if tag.name == "img"]

    @cached_property
    def text(self) -> str:
        """The visible text."""
        return shown(self.body)


def shown(html: str) -> str:
    """Return the text of a piece of HTML, with single spaces between words."""
    return _BLANKS.sub(" ", unescape(_ANY_TAG.sub(" ", html))).strip()


# The text of a link is mostly the same in all messages; its address is not.
_shown_inside = lru_cache(maxsize=1024)(shown)


def written_tags(html: str) -> list[str]:
    """Return the start and end tags as they are written."""
    return _ANY_TAG.findall(html)


# About a hundred tags are the same in all messages; those with a row's values are not.
@lru_cache(maxsize=4096)
def tag(written: str) -> Tag:
    """Parse a start tag."""
    name = _NAME.match(written)
    assert name is not None  # noqa: S101
    raw: dict[str, str] = {}
    for attribute, value in _ATTRIBUTE.findall(written[name.end() : -1]):
        raw.setdefault(attribute.lower(), value[1:-1] if value[:1] in ("'", '"') else value)
    return Tag(written, name[1].lower(), {key: value_of(value).strip() for key, value in raw.items()}, raw)


class _Ambiguous(Exception):
    """An attribute's value contains `<` or `>`, so that these do not show where a tag begins and ends."""


class _Anchor(Enum):
    """How a piece is related to links."""

    BEGINS = 1
    ENDS = 2


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """A piece after a `<`: the start tag that it begins with, if any, and the text after the tag."""

    tag: Tag | None
    text: str
    anchor: _Anchor | None


# Splitting at each `<`, with most pieces cached, takes a quarter of the time of `_TAG`.
@lru_cache(maxsize=4096)
def _piece(piece: str) -> _Piece:
    """Parse a piece after a `<`. Raises _Ambiguous."""
    begun = _begun(piece)
    anchor = None
    if begun is not None and begun.name == "a" and begun.written[2].isspace():
        anchor = _Anchor.BEGINS
    elif _ENDS_A.match(piece):
        anchor = _Anchor.ENDS
    return _Piece(begun, piece.partition(">")[2] or piece, anchor)


def _begun(piece: str) -> Tag | None:
    """Return the start tag that a piece begins with, if any. Raises _Ambiguous."""
    if not piece[:1].isalpha():
        return None
    written, end, _ = piece.partition(">")
    whole = _TAG.fullmatch(f"<{written}>") if end else None
    if whole is None:
        # Without an end, the `<` is part of a value; `a <b and c` is not a tag at all.
        if "=" in piece:
            raise _Ambiguous
        return None
    return tag(whole[0])


def _between(pieces: list[str], read: list[_Piece]) -> Iterator[tuple[str, str]]:
    """The same as `_anchors`, for HTML that is already split into pieces."""
    begin: tuple[int, Tag] | None = None
    for number, piece in enumerate(read):
        if piece.anchor is None:
            continue
        if piece.anchor is _Anchor.BEGINS and piece.tag is not None:
            begin = begin or (number, piece.tag)
        elif begin is not None:
            first, tag = begin
            yield tag.written, "<".join(pieces[first:number])[len(tag.written) - 1 :]
            begin = None


def _anchors(html: str) -> Iterator[tuple[str, str]]:
    """Yield each `<a …>` that has an end tag, and the HTML inside it."""
    begin = _ANCHOR.search(html)
    while begin is not None:
        end = _ENDS_ANCHOR.search(html, begin.end())
        if end is None:  # then the later ones have none either
            return
        yield begin[0], html[begin.end() : end.start()]
        begin = _ANCHOR.search(html, end.end())


@lru_cache(maxsize=1024)
def _link(written: str, inside: str) -> Link | None:
    anchor = tag(written)
    return Link(anchor, inside) if "href" in anchor.attributes else None
