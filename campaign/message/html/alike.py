"""Messages of one template are inlined by an earlier one: they differ in a few texts and values.

A document is split at each `<`, which takes a tenth of the time that finding its tokens takes, and compared
with one that was inlined before. What is the same in both comes out the same. A piece that differs must
begin with a whole tag, which the rules take for the same, and have a text of the same kind behind it. Else
the document is inlined by itself.
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
_PATIENCE = 8  # documents in a row that are of another kind, before one of these is kept

# Whole whatever follows: no quotation mark is left over, which one behind it could close.
_WHOLE = re.compile(
    r"""<(?!link[\s/>])[a-z][^\s/>]*+(?:[\s/]++|[^\s/>="']++(?:\s*+=\s*+(?:"[^"]*+"|'[^']*+'|[^\s>"']++))?+)*+>"""
    r"""|</[a-z][^>]*>""",
    re.IGNORECASE,
)

Restyle: TypeAlias = Callable[[int, str], "str | None"]
"""The place of a token and another in its stead → what that becomes; None if it would change others."""


class Alike:
    """Documents of one campaign, by which those like them are made. May be shared by threads."""

    def __init__(self) -> None:
        self._made: dict[int, _Made] = {}

    def made(self, pieces: list[str]) -> str | None:
        """Return what becomes of a document, split at each `<`; None where it is like none before."""
        like = self._made.get(len(pieces))
        return None if like is None else like.made(pieces)

    def add(self, pieces: list[str], parts: Sequence[str], out: Sequence[str], restyle: Restyle) -> None:
        """Keep what became of a document: `parts` are its texts and tokens in turn, `out` the same made."""
        if sum(map(len, pieces)) > _LONGEST:
            return
        like = self._made.get(len(pieces))
        if like is None or like.unlike >= _PATIENCE:
            if len(self._made) >= _KEPT:
                self._made.clear()
            self._made[len(pieces)] = _Made(pieces, parts, out, restyle)


@dataclass(frozen=True, slots=True)
class _Begun:
    """The token that a piece begins with: its place, its tag without the `<`, and what became of it."""

    place: int
    tag: str
    out: str
    kind: str  # of the text behind it


class _Made:
    """A document, and what was made of it. `unlike` counts those that were not like it, in a row."""

    def __init__(self, pieces: list[str], parts: Sequence[str], out: Sequence[str], restyle: Restyle) -> None:
        self.unlike = 0
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

    def made(self, pieces: list[str]) -> str | None:
        """Return what becomes of a document of as many pieces; None where it is another kind."""
        out = self._out.copy()
        for at in compress(range(len(pieces)), map(ne, pieces, self._pieces)):
            piece = self._piece(at, pieces[at])
            if piece is None:
                self.unlike += 1
                return None
            out[at] = piece
        self.unlike = 0
        return "".join(out)

    def _piece(self, at: int, piece: str) -> str | None:
        """Return what becomes of another piece in the place of one; None where it changes others."""
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
    """Return the tag that a piece behind a `<` begins with; None for none, or one that others depend on."""
    tag = _WHOLE.match(f"<{piece}")
    return None if tag is None else tag[0]


def kind_of(text: str) -> str:
    """Return what rules see of a text: none, blanks, or words."""
    if not text:
        return ""
    return " " if text.isspace() and text.isascii() else "x"
