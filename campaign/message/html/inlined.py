"""Inlines a document by comparing it with an earlier one: messages of one template differ only a little.

A document is split at each `<`, which is ten times as fast as finding its tokens, and compared with an
earlier inlined one. Pieces that are the same in both have the same result. A piece that differs must begin
with a complete tag that the same rules match, followed by text of the same kind. Otherwise the document is
inlined by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress
from operator import ne
from typing import TypeAlias

_LONGEST = 200_000  # characters of a document that is kept
_KEPT = 16  # documents
_MOST_MISSES = 8  # after this many misses in a row, a new document replaces the kept one

# A tag that is complete whatever follows: it leaves no open quotation mark.
_WHOLE = re.compile(
    r"""<(?!link[\s/>])[a-z][^\s/>]*+(?>(?:[\s/]++|[^\s/>="']++(?>(?:\s*+=\s*+(?:"[^"]*+"|'[^']*+'|[^\s>"']++))?))*)>"""
    r"""|</[a-z][^>]*>""",
    re.IGNORECASE,
)

Restyle: TypeAlias = Callable[[int, str], "str | None"]
"""Takes a token's place and its replacement; returns that inlined, or None if other tokens would change."""


class InlinedDocuments:
    """Inlined documents of one campaign, from which similar ones are made. May be shared by threads."""

    def __init__(self) -> None:
        self._documents: dict[int, _Inlined] = {}

    def inline(self, pieces: list[str]) -> str | None:
        """Return a document, split at each `<`, inlined; None if it is not similar to a kept one."""
        similar = self._documents.get(len(pieces))
        return None if similar is None else similar.inline(pieces)

    def add(self, pieces: list[str], parts: Sequence[str], out: Sequence[str], restyle: Restyle) -> None:
        """Keep a document: `parts` are its texts and tokens in turn, and `out` the same inlined."""
        if sum(map(len, pieces)) > _LONGEST:
            return
        similar = self._documents.get(len(pieces))
        if similar is None or similar.misses >= _MOST_MISSES:
            if len(self._documents) >= _KEPT:
                self._documents.clear()
            self._documents[len(pieces)] = _Inlined(pieces, parts, out, restyle)


@dataclass(frozen=True, slots=True)
class _Begun:
    """The token that a piece begins with: its place, its tag without the `<`, and that inlined."""

    place: int
    tag: str
    out: str
    kind: str  # of the text after it


class _Inlined:
    """A document and its inlined form. `misses` counts dissimilar documents in a row."""

    def __init__(self, pieces: list[str], parts: Sequence[str], out: Sequence[str], restyle: Restyle) -> None:
        self.misses = 0
        self._pieces = pieces
        self._restyle = restyle
        self._out = [""] * len(pieces)
        self._begun: dict[int, _Begun] = {}
        self._out[0] = out[0]
        at = parts[0].count("<")
        for number in range(1, len(parts), 2):
            at += 1
            self._out[at] = out[number] + out[number + 1]
            further = parts[number].count("<") - 1 + parts[number + 1].count("<")
            if not further and _tag(pieces[at]) == parts[number]:
                text = parts[number + 1]
                self._begun[at] = _Begun(number // 2, parts[number][1:], out[number], kind_of(text))
            at += further

    def inline(self, pieces: list[str]) -> str | None:
        """Return a document with as many pieces inlined; None if it is not similar."""
        out = self._out.copy()
        for at in compress(range(len(pieces)), map(ne, pieces, self._pieces)):
            piece = self._piece(at, pieces[at])
            if piece is None:
                self.misses += 1
                return None
            out[at] = piece
        self.misses = 0
        return "".join(out)

    def _piece(self, at: int, piece: str) -> str | None:
        """Return a different piece inlined; None if it changes others."""
        before = self._begun.get(at)
        if before is None:
            return None
        token: str | None = before.out
        if piece.startswith(before.tag):
            text = piece[len(before.tag) :]
        elif (tag := _tag(piece)) is not None:
            text = piece[len(tag) - 1 :]
            token = self._restyle(before.place, tag)
        else:
            return None
        return token + text if token is not None and kind_of(text) == before.kind else None


def _tag(piece: str) -> str | None:
    """Return the tag that a piece after a `<` begins with; None for none, or if others depend on it."""
    tag = _WHOLE.match(f"<{piece}")
    return None if tag is None else tag[0]


def kind_of(text: str) -> str:
    """Return the part of a text that matters to rules: "" for none, " " for blanks, "x" for words."""
    if not text:
        return ""
    return " " if text.isspace() and text.isascii() else "x"
