"""Joins an MJML template and its `mj-include` files into one text, and keeps the place of each line.

As in MJML's own converter, `path` is relative to the including file, inside the campaign's folder. From a
file with `<mjml>`, the body is put here and the head into the document's head; `type="css"` becomes an
`<mj-style>`, `type="html"` an `<mj-raw>`.
"""

from __future__ import annotations

import posixpath
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from campaign.errors import Problem, UserError
from campaign.message.html.markup import attributes

_INCLUDE = re.compile(
    r"<!--.*?-->|\{#.*?#\}|(?P<tag><mj-include\b(?:[^>\"']|\"[^\"]*\"|'[^']*')*>)(?:\s*</mj-include\s*>)?",
    re.DOTALL,
)
_BODY = re.compile(r"<mj-body\b[^>]*>(.*)</mj-body\s*>", re.DOTALL)
_HEAD = re.compile(r"<mj-head\b[^>]*>(.*)</mj-head\s*>", re.DOTALL)
_END_OF_HEAD = re.compile(r"</mj-head\s*>|<mj-head\s*/>")
_ROOT = re.compile(r"<mjml\b[^>]*>")

Read = Callable[[str], tuple[str, str]]
"""Takes a path from the campaign's folder; returns the text and the name to show. Raises UserError."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Text of a file, or text that replaces a tag of it, and the file and line where it begins."""

    text: str
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a file, which begins at `line`; `name` is the file's path from the campaign's folder.

    `within` are the files that include it; `all_head`: all of it goes into the head.
    """

    text: str
    name: str
    file: str
    line: int
    within: tuple[str, ...]
    all_head: bool = False

    def piece(self, start: int, end: int) -> _Piece:
        return _Piece(self.text[start:end], self.file, self.line + self.text.count("\n", 0, start))

    def is_in_head(self, offset: int) -> bool:
        return self.all_head or self.text.rfind("<mj-head", 0, offset) > self.text.rfind(
            "</mj-head", 0, offset
        )

    def within_tag(self, pattern: re.Pattern[str]) -> _Part | None:
        """Return the content of an element, if the part contains it."""
        found = pattern.search(self.text)
        if found is None:
            return None
        line = self.line + self.text.count("\n", 0, found.start(1))
        return replace(self, text=found[1], line=line, all_head=False)


@dataclass(frozen=True, slots=True)
class Source:
    """The whole text, and its pieces; `names` are the files that it was read from."""

    text: str
    names: tuple[str, ...]
    _pieces: tuple[_Piece, ...]
    _starts: tuple[int, ...]

    def place(self, offset: int) -> tuple[str, int]:
        """Return the file and the line at an offset in the text."""
        number = max(bisect_right(self._starts, offset) - 1, 0)
        piece = self._pieces[number]
        return piece.file, piece.line + piece.text.count("\n", 0, offset - self._starts[number])


def read_source(name: str, read: Read) -> Source:
    """Return the template at a path from the campaign's folder. Raises UserError with every problem."""
    reading = _Reading(read)
    text, file = read(name)
    pieces = list(reading.expanded(_Part(text, name, file, 1, (name,))))
    if reading.problems:
        raise UserError(*reading.problems)
    pieces = [piece for piece in _with_heads(pieces, reading.heads) if piece.text]
    starts, at = [], 0
    for piece in pieces:
        starts.append(at)
        at += len(piece.text)
    joined = "".join(piece.text for piece in pieces)
    return Source(
        joined, (name, *reading.names), tuple(pieces) or (_Piece("", file, 1),), tuple(starts) or (0,)
    )


class _Reading:
    """Follows the includes of a template; `heads` are the pieces of included files for the head."""

    def __init__(self, read: Read) -> None:
        self.problems: list[Problem] = []
        self.heads: list[_Piece] = []
        self.names: list[str] = []
        self._read = read

    def expanded(self, part: _Part) -> Iterator[_Piece]:
        """Yield the pieces of a part of a file."""
        at = 0
        for match in _INCLUDE.finditer(part.text):
            if match["tag"] is None:
                continue
            yield part.piece(at, match.start())
            here, at = part.piece(match.start(), match.start()), match.end()
            try:
                yield from self._included(match["tag"], here, part, part.is_in_head(match.start()))
            except UserError as error:
                self.problems += [Problem(one.message, here.file, here.line) for one in error.problems]
        yield part.piece(at, len(part.text))

    def _included(self, tag: str, here: _Piece, part: _Part, in_head: bool) -> Iterator[_Piece]:
        value = {one.name: tag[one.start : one.end].strip() for one in attributes(tag)}
        path, kind = value.get("path", ""), value.get("type", "mjml")
        if not path or "{" in path:
            raise UserError("mj-include needs a path without template tags: the file is read only once")
        if kind == "mjml" and not posixpath.splitext(path)[1]:
            path += ".mjml"
        name = posixpath.normpath(posixpath.join(posixpath.dirname(part.name), path))
        if name in part.within:
            raise UserError(f"{path} includes itself")
        text, file = self._read(name)
        self.names.append(name)
        if kind in ("css", "html"):
            inline = ' inline="inline"' if value.get("css-inline") == "inline" else ""
            begin, end = (
                (f"<mj-style{inline}>", "</mj-style>") if kind == "css" else ("<mj-raw>", "</mj-raw>")
            )
            pieces = [replace(here, text=begin), _Piece(text, file, 1), replace(here, text=end)]
        else:
            included = _Part(text, name, file, 1, (*part.within, name), in_head)
            head, body = included.within_tag(_HEAD), included.within_tag(_BODY)
            if head is not None:
                self.heads += self.expanded(replace(head, all_head=True))
            pieces = list(self.expanded(body or replace(included, text="" if head else text)))
        if kind == "css" and not in_head:
            self.heads += pieces
        else:
            yield from pieces


def _with_heads(pieces: list[_Piece], heads: list[_Piece]) -> Iterator[_Piece]:
    """Yield the pieces, with those for the head at the end of it."""
    has_head = any(_END_OF_HEAD.search(piece.text) for piece in pieces)
    for piece in pieces:
        match = (_END_OF_HEAD if has_head else _ROOT).search(piece.text) if heads else None
        if match is None:
            yield piece
            continue
        at = match.start() if match[0].startswith("</") else match.end()
        here = replace(piece, text="", line=piece.line + piece.text.count("\n", 0, at))
        empty = match[0].startswith("<mj-head")  # <mj-head />
        yield replace(piece, text=piece.text[: match.start() if empty else at])
        yield replace(here, text="" if has_head and not empty else "<mj-head>")
        yield from heads
        yield replace(here, text="" if has_head and not empty else "</mj-head>")
        yield replace(here, text=piece.text[at:])
        heads = []
