"""Wraps words into the lines of a text part, and sets the cells of a table's row in lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from unicodedata import ucd_3_2_0  # the one version of Unicode that every Python has

from campaign.message.html.listmarks import Marks

WIDTH = 72  # columns of a line, addresses and long words excepted

# A line of Chinese or Japanese may end after any character, but not before or after some marks.
_WIDE = "\u2e80-\u2fdf\u3040-\u30ff\u3105-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_OPENING = "「『（〈《【〔［｛"
_CLOSING = "、。，．・：；！？」』）〉》】〕］｝ーぁぃぅぇぉっゃゅょァィゥェォッャュョ"
_PIECE = re.compile(f" *(?:[{_OPENING}]*(?:[{_WIDE}]|[^ {_WIDE}{_OPENING}]+)[{_CLOSING}]*|[{_OPENING}]+)")

# What takes two columns (UAX 11, W and F), in whole blocks. Each Python has another version of Unicode,
# and the lines must be the same on all.
_TWO_COLUMNS = re.compile(
    "[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60"
    "\uffe0-\uffe6\U00016fe0-\U00018dff\U0001aff0-\U0001b2ff\U0001f200-\U0001f64f\U0001f680-\U0001f6ff"
    "\U0001f7e0-\U0001f7ff\U0001f90c-\U0001f9ff\U0001fa70-\U0001faff\U00020000-\U0003ffff"
    "⌚⌛⏩-⏬⏰⏳◽◾☔☕♈-♓♿⚓⚡⚪⚫⚽⚾⛄⛅⛎⛔⛪⛲⛳⛵⛺⛽✅✊✋✨❌❎❓-❕❗➕-➗➰➿⬛⬜⭐⭕🀄🃏🆎🆑-🆚]"
)

_RAISED = {
    "sup": str.maketrans("0123456789+-−=()n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ⁿ"),
    "sub": str.maketrans("0123456789+-−=()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎"),
}
_NUMERIC = re.compile(r"[+\-−=()n ]*[0-9][0-9+\-−=()n ]*")


@dataclass(frozen=True, slots=True)
class Cell:
    """A table's cell; `is_layout`: it contains a list, a heading or rows of its own, so it is not a value."""

    lines: Sequence[str]
    is_layout: bool

    @property
    def text(self) -> str:
        """Its text in one line."""
        return " ".join(line.strip() for line in self.lines if line.strip())


@dataclass(slots=True)
class Block:
    """The document, or a cell of a table: its lines, and the format of the next one."""

    width: int = WIDTH
    lines: list[str] = field(default_factory=list)
    lists: list[Marks] = field(default_factory=list)  # of each open list
    quotes: int = 0
    mark: str = ""  # of the list item that has begun
    rows: int = 0
    is_layout: bool = False

    def margins(self) -> tuple[str, str]:
        """Return the margin of the next line, and of the lines that continue it."""
        margin = "> " * self.quotes + "  " * max(0, len(self.lists) - 1)
        rest = margin + (" " * len(self.mark) if self.mark else "  " if self.lists else "")
        return margin + self.mark if self.mark else rest, rest


def row(cells: Sequence[Cell], width: int) -> list[str]:
    """Return the lines of a table's row: all cells in one line, wrapped if necessary.

    If cells are not values, or several are long, they are set below each other.
    """
    if len(cells) == 1:
        return list(cells[0].lines)
    texts = [cell.text for cell in cells]
    joined = "  ".join(texts)
    short = columns(joined) - max(map(columns, texts), default=0)
    fits = columns(joined) <= width or short <= width // 2
    if fits and not any(cell.is_layout for cell in cells):
        return wrapped(joined, "", "", width)
    lines: list[str] = []
    for cell in cells:
        lines += ["", *cell.lines] if lines and lines[-1] else cell.lines
    return lines


def wrapped(words: str, first: str, rest: str, width: int = WIDTH) -> list[str]:
    """Wrap words into lines; `first` begins the first line, and `rest` the others."""
    if len(first) + columns(words) <= width:
        return [first + words]
    lines: list[str] = []
    line, taken = first, len(first)
    for number, piece in enumerate(_PIECE.findall(words)):
        more = columns(piece)
        if number and taken + more > width:
            lines.append(line)
            piece = piece.lstrip(" ")
            line, taken, more = rest, len(rest), columns(piece)
        line += piece
        taken += more
    return [*lines, line]


def raised(words: str, tag: str) -> str:
    """Return the words of a `sup` or `sub` in raised or lowered digits: 19<sup>99</sup> is not 1999."""
    return words.translate(_RAISED[tag]) if _NUMERIC.fullmatch(words) else words


def columns(text: str) -> int:
    """Return the width of text in a terminal."""
    if text.isascii():
        return len(text)
    marks = sum(map(bool, map(ucd_3_2_0.combining, text)))
    return len(text) - marks + len(_TWO_COLUMNS.findall(text))
