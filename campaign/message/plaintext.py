"""HTML → the text part that reads well where a campaign has none of its own.

Headings stand out, lists keep their marks, links keep their addresses, table cells stay in order.
Scripts, styles, and what is hidden from readers (comments, `display: none`) leave nothing. The tags
are read here, as what the standard library's parser makes of comments, scripts and `<![if mso]>`
differs between its releases, or is an AssertionError.
"""

from __future__ import annotations

import re
import unicodedata
from html import unescape

WIDTH = 72  # columns of a line, addresses and long words excepted

_TOKEN = re.compile(
    r"""<!--(?:-?>|.*?(?:--!?>|\Z)) | <(?:[!?]|/(?![a-zA-Z]))[^>]*(?:>|\Z)
    | <(?P<raw>(?i:script|style|title))(?=[\s/>])[^>]*>.*?(?:</(?i:(?P=raw))\s*>|\Z)
    | <(?P<end>/?)(?P<tag>[a-zA-Z][^\s/>]*)
      (?P<attributes>(?:[^>"']++|"[^"]*+"|'[^']*+')*+ | [^>]*)(?:>|\Z)""",
    re.DOTALL | re.VERBOSE,
)
_ATTRIBUTE = re.compile(r"""([^\s=/>"']+)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s>]+))?""")

_SILENT = {"head", "template", "noscript", "object", "svg", "math", "select"}
_BLOCKS = {
    "address", "article", "aside", "blockquote", "body", "center", "dd", "div", "dl", "dt", "fieldset",
    "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "html",
    "li", "main", "nav", "ol", "p", "pre", "section", "table", "tbody", "tfoot", "thead", "tr", "ul",
}  # fmt: skip
_APART = {"blockquote", "dl", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "pre", "table", "ul"}
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
_ENDED_BY_THE_NEXT = {"p", "li", "dt", "dd", "td", "th", "tr", "option"}  # HTML 13.1.2.4: optional tags
_UNDERLINES = {"h1": "=", "h2": "-", "h3": "-"}
_MAYBE_HIDDEN = re.compile(r"hidden|display|max-height|opacity", re.IGNORECASE)
_HIDDEN = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|(?:max-height|opacity)\s*:\s*0(?![.\d])", re.IGNORECASE
)
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u00ad\ufeff\u034f\u2060"))
# In Persian and others it shapes a word; elsewhere it pads what a client shows beside the subject.
_PADDING = re.compile(r"(?<!\w)\u200c+|\u200c+(?!\w)")
_BLANKS = re.compile("[ \t\n\r\f\xa0]{3,}|[ \t\n\r\f]+")
_LINKED = re.compile(r"https?://|mailto:|tel:", re.IGNORECASE)

# A line of Chinese or Japanese may end after any character, but not before or after some marks.
_WIDE = "\u2e80-\u2fdf\u3040-\u30ff\u3105-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_OPENING = "「『（〈《【〔［｛"
_CLOSING = "、。，．・：；！？」』）〉》】〕］｝ーぁぃぅぇぉっゃゅょァィゥェォッャュョ"
_PIECE = re.compile(f" *(?:[{_OPENING}]*(?:[{_WIDE}]|[^ {_WIDE}{_OPENING}]+)[{_CLOSING}]*|[{_OPENING}]+)")


def from_html(html: str) -> str:
    """Return the text of an HTML document, ending in a line feed."""
    reader = _Reader()
    at = 0
    for token in _TOKEN.finditer(html):
        reader.text(html[at : token.start()])
        at = token.end()
        if token["tag"] is None or html[at - 1] != ">":
            continue
        tag = token["tag"].lower()
        if token["end"]:
            reader.end(tag)
        else:
            reader.start(tag, token["attributes"])
    reader.text(html[at:])
    return reader.result()


class _Reader:
    """Collects lines; a line's words are wrapped when its block ends."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._words = ""
        self._open: list[str] = []  # elements
        self._silent = 0  # how many are open where silence begins
        self._lists: list[int | None] = []  # the next number of each open list; None: bullets
        self._quotes = 0
        self._mark = ""  # of the list item that has begun
        self._links: list[tuple[str, int]] = []  # address, and where its text begins
        self._preformatted = 0
        self._heading = 0  # the line on which it begins
        self._cells = 0

    def result(self) -> str:
        if self._open:
            self.end(self._open[0])
        self._end_line()
        text = re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in self._lines))
        return text.strip("\n") + "\n"

    def start(self, tag: str, written: str) -> None:
        if tag in _ENDED_BY_THE_NEXT and self._open[-1:] == [tag]:
            self.end(tag)
        elif tag == "body":
            self.end("head")
        if tag not in _VOID:
            self._open.append(tag)
        if self._silent:
            return
        attributes = {}
        if tag in ("a", "img", "ol") or _MAYBE_HIDDEN.search(written):
            attributes = _attributes(written)
        hidden = "hidden" in attributes or _HIDDEN.search(attributes.get("style", ""))
        if tag in _VOID:
            self._void(tag, "" if hidden else attributes.get("alt", ""))
        elif hidden or tag in _SILENT:
            self._silent = len(self._open)
        else:
            self._enter(tag, attributes)

    def end(self, tag: str) -> None:
        """End an element, and with it those within it that nobody closed."""
        left = None if tag in self._open else tag
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
        if self._preformatted:
            *lines, last = text.split("\n")
            for line in lines:
                self._words += line
                self._end_line()
            self._words += last
            return
        text = _BLANKS.sub(" ", _PADDING.sub("", text))
        self._words += text.lstrip(" ") if not self._words or self._words.endswith(" ") else text

    def _enter(self, tag: str, attributes: dict[str, str]) -> None:
        if tag in _BLOCKS:
            self._end_line(apart=tag in _APART and not (tag in ("ul", "ol") and self._lists))
        match tag:
            case "ul":
                self._lists.append(None)
            case "ol":
                start = attributes.get("start", "")
                self._lists.append(int(start) if re.fullmatch(r"[0-9]{1,6}", start) else 1)
            case "li":
                self._begin_item()
            case "blockquote":
                self._quotes += 1
            case "pre":
                self._preformatted += 1
            case "h1" | "h2" | "h3":
                self._heading = len(self._lines)
            case "tr":
                self._cells = 0
            case "td" | "th":
                if self._cells and self._words.strip():
                    self._words = self._words.rstrip() + "  "
                self._cells += 1
            case "a":
                self._step_off_link()
                self._links.append((attributes.get("href", "").strip(), len(self._words)))
            case _:
                pass

    def _leave(self, tag: str) -> None:
        if tag == "a":
            self._end_link(*self._links.pop())
        elif tag in _UNDERLINES:
            self._end_line()
            self._underline(_UNDERLINES[tag])
        if tag in _BLOCKS:
            self._end_line(apart=tag in _APART)
        match tag:
            case "ul" | "ol":
                self._lists.pop()
            case "li":
                self._mark = ""
            case "blockquote":
                self._quotes -= 1
            case "pre":
                self._preformatted -= 1
            case _:
                pass

    def _void(self, tag: str, alt: str) -> None:
        match tag:
            case "br" if self._words.strip() or self._preformatted:
                self._end_line()
            case "br" if self._lines and self._lines[-1]:
                self._lines.append("")
            case "hr":
                self._end_line()
                self._lines += ["", "-" * WIDTH, ""]
            case "img":
                self._step_off_link()
                self._words += " ".join(alt.split())
            case _:
                pass

    def _begin_item(self) -> None:
        if not self._lists or self._lists[-1] is None:
            self._mark = "- "
        else:
            self._mark = f"{self._lists[-1]}. "
            self._lists[-1] += 1

    def _end_link(self, address: str, begin: int) -> None:
        shown = self._words[begin:].strip()
        if not _LINKED.match(address) or address in (shown, f"mailto:{shown}", f"tel:{shown}"):
            return
        if shown.rstrip("/") == re.sub(r"^https?://", "", address).rstrip("/"):
            return
        target = address.removeprefix("mailto:")
        self._words = self._words.rstrip() + f" <{target}>" if shown else self._words + f"<{target}>"

    def _step_off_link(self) -> None:
        """Keep icons apart that stand side by side."""
        if self._words.endswith(">"):
            self._words += " "

    def _end_line(self, *, apart: bool = False) -> None:
        """End the line that is being collected; `apart`: with an empty line behind or before it."""
        words, self._words = self._words, ""
        self._links = [(address, 0) for address, _ in self._links]
        margin = "> " * self._quotes
        if self._preformatted:
            self._lines.append(margin + "  " * len(self._lists) + words)
        elif words := words.strip():
            mark, self._mark = self._mark, ""
            margin += "  " * max(0, len(self._lists) - 1)
            rest = margin + (" " * len(mark) if mark else "  " if self._lists else "")
            self._lines += _wrapped(words, margin + mark if mark else rest, rest)
        if apart and self._lines and self._lines[-1]:
            self._lines.append("")

    def _underline(self, stroke: str) -> None:
        heading = self._lines[self._heading :]
        if heading:
            margin = "> " * self._quotes
            columns = max(map(_columns, heading)) - len(margin)
            self._lines.append(margin + stroke * min(WIDTH, columns))


def _attributes(written: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in _ATTRIBUTE.findall(written):
        found.setdefault(name.lower(), unescape(value[1:-1] if value[:1] in ("'", '"') else value))
    return found


def _wrapped(words: str, first: str, rest: str) -> list[str]:
    """Return words in lines; `first` begins the first of them, and `rest` the others."""
    if len(first) + _columns(words) <= WIDTH:
        return [first + words]
    lines: list[str] = []
    line, columns = first, len(first)
    for number, piece in enumerate(_PIECE.findall(words)):
        more = _columns(piece)
        if number and columns + more > WIDTH:
            lines.append(line)
            piece = piece.lstrip(" ")
            line, columns, more = rest, len(rest), _columns(piece)
        line += piece
        columns += more
    return [*lines, line]


def _columns(text: str) -> int:
    """Return how wide text stands in a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )
