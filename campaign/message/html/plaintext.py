"""Makes the text part from HTML, for campaigns without a text template.

Headings are emphasized, lists keep their marks, links keep their addresses, a table's row becomes a line,
and struck-out text is marked. Scripts, styles and hidden text (comments, `display: none`) are dropped. The
standard library's parser is not used: its results for comments, scripts and `<![if mso]>` differ between
releases, or it raises AssertionError.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import unescape
from urllib.parse import unquote

from campaign.message.html.listmarks import items_of_reversed, marks
from campaign.message.html.markup import RAW, TOKEN, VOID, linked
from campaign.message.html.textlines import Block, Cell, columns, raised, row, wrapped
from campaign.message.html.textstyles import COLLAPSED, Spaces, style_of

_TAG = re.compile(r"</?([a-zA-Z][^\s/>]*)")

_SILENT = {"head", "template", "noscript", "object", "svg", "math", "select"}
_BLOCKS = {
    "address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "div", "dl",
    "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header",
    "html", "li", "main", "nav", "ol", "p", "pre", "section", "summary", "table", "tbody", "tfoot", "thead",
    "tr", "ul",
}  # fmt: skip
_APART = {"blockquote", "dl", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "pre", "table", "ul"}
_ENDS_P = _BLOCKS - {"body", "html", "caption", "tbody", "tfoot", "thead", "tr"} | {"dir", "hr", "menu"}
_AROUND_P = {"td", "th", "caption", "table", "button", "object"}
_ENDED_BY_THE_NEXT = {"p", "li", "dt", "dd", "option"}
_OF_ROWS = {"td": ("td", "th"), "th": ("td", "th"), "tr": ("tr",)}
_OF_TABLES = {"table", "tbody", "tfoot", "thead", "tr", "td", "th", "body", "html"}
_LAYOUT = {"blockquote", "dl", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "pre", "ul"}
_UNDERLINES = {"h1": "=", "h2": "-", "h3": "-"}
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u00ad\ufeff\u034f\u2060"))
# U+200C shapes words in Persian and other languages; outside of words it only pads a preheader.
_PADDING = re.compile(r"(?<!\w)\u200c+|\u200c+(?!\w)")
_BLANKS = re.compile("[ \t\n\r\f\xa0]{3,}|[ \t\n\r\f]+")
_LINKED = re.compile(r"https?://[^/?#\s]|mailto:|tel:", re.IGNORECASE)


def from_html(html: str) -> str:
    """Return the text of an HTML document, ending in a line feed."""
    pieces = TOKEN.split(html)
    reader = _Reader()
    items = items_of_reversed(pieces) if "reversed" in html.lower() else {}
    for number, piece in enumerate(pieces):
        if number % 2 == 0:
            reader.text(piece)
            continue
        tag = _TAG.match(piece)
        if tag is None or piece[-1] != ">":
            continue
        name = tag[1].lower()
        if piece[1] == "/":
            reader.end(name)
        elif name not in RAW:
            reader.start(name, piece, items.get(number, 0))
    return reader.result()


@dataclass(slots=True)
class _Link:
    """An open link: where its text begins, and whether it has text or an image."""

    address: str
    begin: int
    is_seen: bool = False


class _Reader:
    """Collects lines; a line's words are wrapped when its block ends."""

    def __init__(self) -> None:
        self._block = Block()
        self._around: list[Block] = []  # blocks in which this one is a cell
        self._cells: list[list[Cell]] = []  # of each open row
        self._words = ""
        self._images = 0  # how many are in the line; below 0 if it has text too
        self._alts: dict[str, int] = {}  # lines with nothing but images → how many
        self._open: list[str] = []  # elements
        self._silent = 0  # how many elements were open where hidden text began
        self._links: list[_Link] = []
        self._struck: list[tuple[int, int]] = []  # (how many elements are open, where the words begin)
        self._spaces: list[tuple[int, Spaces]] = [(0, COLLAPSED)]  # (how many elements are open, spaces)
        self._raised = 0  # where the words of the last `sup` or `sub` begin
        self._heading = 0  # the line on which it begins

    def result(self) -> str:
        if self._open:
            self.end(self._open[0])
        self._end_line()
        lines = [line.rstrip() for line in self._block.lines]
        others = (number for number, line in enumerate(lines) if line and self._alts.get(line, 0) < 2)
        first = next(others, 0)
        if any(lines[:first]):  # an inbox shows the first line beside the subject
            lines = [*lines[first:], "", *lines[:first]]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n") + "\n"

    def start(self, tag: str, written: str, items: int) -> None:
        """Begin an element; `items` are those of a list that counts down."""
        self._end_implied(tag)
        if tag not in VOID:
            self._open.append(tag)
        if self._silent:
            return
        style = style_of(tag, written)
        if tag in VOID:
            if not style.is_hidden:
                self._void(tag, style.attributes)
        elif style.is_hidden or tag in _SILENT:
            self._silent = len(self._open)
        else:
            self._enter(tag, style.attributes, items)
            if style.is_struck:
                self._struck.append((len(self._open), len(self._words)))
            if style.spaces is not None:
                self._spaces.append((len(self._open), style.spaces))

    def end(self, tag: str) -> None:
        """End an element, and the unclosed elements in it."""
        for left in reversed(self._open):
            if left == tag:
                break
            if left in ("td", "th") and tag not in _OF_TABLES:
                return  # HTML 13.2.4.2: it began outside the cell
        else:
            return
        left = ""
        while left != tag:
            left = self._open.pop()
            if not self._silent:
                self._leave(left)
            elif len(self._open) < self._silent:
                self._silent = 0

    def text(self, text: str) -> None:
        if not text or self._silent:
            return
        text = (unescape(text) if "&" in text else text).translate(_INVISIBLE)
        if not self._spaces[-1][1].keeps_lines:
            self._add(text)
            return
        for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n")):
            if number:
                self._break_line()
            self._add(line)

    def _add(self, text: str) -> None:
        if self._spaces[-1][1].keeps_blanks:
            self._words += text
            self._see(-1)
            return
        text = _BLANKS.sub(" ", _PADDING.sub("", text))
        self._words += text.lstrip(" ") if not self._words or self._words.endswith(" ") else text
        if text.strip(" \xa0"):
            self._see(-1)

    def _see(self, images: int) -> None:
        """Count images in the line; -1 notes text."""
        self._images = self._images + images if images >= 0 <= self._images else -1
        for link in self._links:
            link.is_seen = True

    def _end_implied(self, tag: str) -> None:
        """End the elements that the start of this one ends (HTML 13.1.2.4, optional tags)."""
        if tag in ("td", "th", "tr"):
            for left in reversed(self._open):
                if left in _OF_ROWS[tag]:
                    self.end(left)
                    break
                if left == "table" or (left == "tr" and tag != "tr"):
                    break
        elif tag in _ENDED_BY_THE_NEXT and self._open[-1:] == [tag]:
            self.end(tag)
        elif self._silent and tag in _ENDS_P:
            hidden, *within = self._open[self._silent - 1 :]
            if hidden == "p" and _AROUND_P.isdisjoint(within):
                self.end("p")
        elif tag == "body":
            self.end("head")

    def _enter(self, tag: str, found: Mapping[str, str], items: int) -> None:
        block = self._block
        if tag in _BLOCKS:
            self._end_line(apart=tag in _APART and not (tag in ("ul", "ol") and block.lists))
        block.is_layout = block.is_layout or tag in _LAYOUT
        match tag:
            case "ul" | "ol":
                block.lists.append(marks(tag, found, items))
            case "li":
                block.mark = block.lists[-1].next(found) if block.lists else "- "
            case "q":
                self._words += '"'
            case "sup" | "sub":
                self._raised = len(self._words)
            case "blockquote":
                block.quotes += 1
            case "h1" | "h2" | "h3":
                self._heading = len(block.lines)
            case "tr":
                self._cells.append([])
            case "td" | "th" if self._cells:
                self._end_line()
                self._around.append(block)
                self._block = Block(max(block.width - len(self._block.margins()[0]), 20))
            case "a":
                self._step_off_link()
                self._links.append(_Link(linked(found.get("href", "")), len(self._words)))
            case _:
                pass

    def _leave(self, tag: str) -> None:
        while self._struck and self._struck[-1][0] > len(self._open):
            self._strike(self._struck.pop()[1])
        block = self._block
        if tag == "a":
            self._end_link(self._links.pop())
        elif tag in _UNDERLINES:
            self._end_line()
            self._underline(_UNDERLINES[tag])
        if tag in _BLOCKS:
            self._end_line(apart=tag in _APART)
        match tag:
            case "q":
                self._words += '"'
            case "sup" | "sub":
                self._words = self._words[: self._raised] + raised(self._words[self._raised :], tag)
            case "ul" | "ol":
                block.lists.pop()
            case "li":
                block.mark = ""
            case "blockquote":
                block.quotes -= 1
            case "td" | "th" if self._cells and self._around:
                self._end_line()
                self._block = self._around.pop()
                if any(block.lines):
                    self._cells[-1].append(Cell(block.lines, block.is_layout or block.rows > 1))
            case "tr":
                self._end_row(self._cells.pop())
            case _:
                pass
        while self._spaces[-1][0] > len(self._open):
            self._spaces.pop()

    def _end_row(self, cells: list[Cell]) -> None:
        if not cells:
            return
        block = self._block
        block.rows += 1
        lines = row(cells, block.width - len(self._block.margins()[0]))
        images = [self._alts.get(line, 0) for cell in cells for line in cell.lines if line]
        if all(images) and len(cells) > 1:
            self._alts.update(dict.fromkeys(lines, sum(images)))
        first, rest = self._block.margins()
        block.mark = ""
        for number, line in enumerate(lines):
            block.lines.append((rest if number else first) + line if line else line)

    def _void(self, tag: str, found: Mapping[str, str]) -> None:
        lines = self._block.lines
        alt = " ".join(found.get("alt", "").split())
        match tag:
            case "br":
                self._break_line()
            case "hr":
                self._end_line()
                self._block.is_layout = True
                lines += ["", "-" * self._block.width, ""]
            case "img":
                self._step_off_link()
                self._words += alt
                self._see(1 if alt else 0)
            case "area":
                self._step_off_link()
                begin = len(self._words)
                self._words += alt
                self._end_link(_Link(linked(found.get("href", "")), begin, is_seen=True))
            case _:
                pass

    def _end_link(self, link: _Link) -> None:
        shown = self._words[link.begin :].strip()
        target = link.address
        if target[:5].lower() not in ("http:", "https"):  # mailto: and tel:, without what follows
            target = unquote(target.partition(":")[2].partition("?")[0]).strip()
        if not link.is_seen or not target or not _LINKED.match(link.address):
            return
        if shown in (target, link.address):
            return
        if shown.rstrip("/") == re.sub(r"^https?://", "", target).rstrip("/"):
            return
        self._words = self._words.rstrip() + f" <{target}>" if shown else self._words + f"<{target}>"

    def _step_off_link(self) -> None:
        """Separate adjacent icons."""
        if self._words.endswith(">") or (self._images > 0 and not self._words.endswith(" ")):
            self._words += " "

    def _strike(self, begin: int) -> None:
        """Mark words as struck out, as in Markdown."""
        words = self._words[begin:]
        if struck := words.strip():
            self._words = self._words[:begin] + words.replace(struck, f"~~{struck}~~")

    def _break_line(self) -> None:
        lines = self._block.lines
        if self._words.strip():
            self._end_line()
        elif self._spaces[-1][1].keeps_blanks:
            self._words = ""
            lines.append("> " * self._block.quotes)
        elif lines and lines[-1]:
            lines.append("")

    def _end_line(self, *, apart: bool = False) -> None:
        """End the current line; `apart`: with an empty line after or before it."""
        for _, begin in reversed(self._struck):
            self._strike(begin)
        block = self._block
        words, self._words = self._words, ""
        images, self._images = self._images, 0
        self._struck = [(depth, 0) for depth, _ in self._struck]
        for link in self._links:
            link.begin = 0
        spaces = self._spaces[-1][1]
        words = words.rstrip() if spaces.keeps_blanks else words.strip()
        if words:
            first, rest = block.margins()
            lines = wrapped(words, first, rest, block.width) if spaces.wraps else [first + words]
            block.mark = ""
            block.lines += lines
            if images > 0:
                self._alts.update(dict.fromkeys(lines, images))
        if apart and block.lines and block.lines[-1]:
            block.lines.append("")

    def _underline(self, stroke: str) -> None:
        heading = self._block.lines[self._heading :]
        if heading:
            margin = "> " * self._block.quotes
            widest = max(map(columns, heading)) - len(margin)
            self._block.lines.append(margin + stroke * min(self._block.width, widest))
