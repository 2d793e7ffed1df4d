"""HTML → the text part that reads well where a campaign has none of its own.

Headings stand out, lists keep their marks, links keep their addresses, table cells stay in order.
Scripts, styles, and what is hidden from readers (comments, `display: none`) leave nothing.
"""

from __future__ import annotations

import re
import textwrap
from html.parser import HTMLParser

WIDTH = 72  # characters of a line, addresses excepted

_SILENT = {"script", "style", "head", "title", "template", "noscript", "object", "svg", "math", "select"}
_BLOCKS = {
    "address", "article", "aside", "blockquote", "body", "center", "dd", "div", "dl", "dt", "fieldset",
    "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "html",
    "li", "main", "nav", "ol", "p", "pre", "section", "table", "tbody", "tfoot", "thead", "tr", "ul",
}  # fmt: skip
_APART = {"blockquote", "dl", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "pre", "table", "ul"}
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
_HIDDEN = re.compile(r"display\s*:\s*none|mso-hide\s*:\s*all", re.IGNORECASE)
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u00ad\ufeff\u034f\u2060"))
_LINKED = re.compile(r"https?://|mailto:|tel:", re.IGNORECASE)


def from_html(html: str) -> str:
    """Return the text of an HTML document, ending in a line feed."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.text()


class _Reader(HTMLParser):
    """Collects lines; a line's words are wrapped when its block ends."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._lines: list[str] = []
        self._words = ""
        self._silent: list[str] = []  # open elements, from the first silent one on
        self._lists: list[int | None] = []  # the next number of each open list; None: bullets
        self._quotes = 0
        self._mark = ""  # of the list item that has begun
        self._links: list[tuple[str, int]] = []  # address, and where its text begins
        self._preformatted = 0
        self._heading = ""
        self._cells = 0

    def text(self) -> str:
        self._end_line()
        text = re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in self._lines))
        return text.strip("\n") + "\n"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        hidden = "hidden" in attributes or _HIDDEN.search(attributes.get("style") or "")
        if self._silent or tag in _SILENT or hidden:
            if tag not in _VOID:
                self._silent.append(tag)
            return
        if tag in _BLOCKS:
            self._end_line(apart=tag in _APART and not (tag in ("ul", "ol") and self._lists))
        match tag:
            case "br":
                self._end_line()
            case "hr":
                self._lines += ["", "-" * WIDTH, ""]
            case "ul":
                self._lists.append(None)
            case "ol":
                start = attributes.get("start") or "1"
                self._lists.append(int(start) if re.fullmatch(r"[0-9]{1,6}", start) else 1)
            case "li":
                self._begin_item()
            case "blockquote":
                self._quotes += 1
            case "pre":
                self._preformatted += 1
            case "h1" | "h2" | "h3":
                self._heading = tag
            case "tr":
                self._cells = 0
            case "td" | "th":
                if self._cells and self._words.strip():
                    self._words = self._words.rstrip() + "  "
                self._cells += 1
            case "a":
                self._links.append(((attributes.get("href") or "").strip(), len(self._words)))
            case "img":
                self._words += attributes.get("alt") or ""
            case _:
                pass

    def handle_endtag(self, tag: str) -> None:
        if self._silent:
            # Elements that nobody closed end with the one around them.
            if tag in self._silent:
                while self._silent.pop() != tag:
                    pass
            return
        if tag == "a" and self._links:
            self._end_link(*self._links.pop())
        if tag in _BLOCKS:
            self._end_line(apart=tag in _APART)
        match tag:
            case "ul" | "ol" if self._lists:
                self._lists.pop()
            case "blockquote":
                self._quotes = max(0, self._quotes - 1)
            case "pre":
                self._preformatted = max(0, self._preformatted - 1)
            case "h1" | "h2" | "h3":
                self._heading = ""
            case _:
                pass

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        if self._preformatted:
            *lines, last = data.split("\n")
            for line in lines:
                self._words += line
                self._end_line()
            self._words += last
            return
        data = re.sub(r"[ \t\n\r\f]+", " ", data.translate(_INVISIBLE))
        self._words += data.lstrip() if not self._words or self._words.endswith(" ") else data

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
        target = address.removeprefix("mailto:") if address.startswith("mailto:") else address
        self._words = self._words.rstrip() + f" <{target}>" if shown else self._words + f"<{target}>"

    def _end_line(self, *, apart: bool = False) -> None:
        """End the line that is being collected; `apart`: with an empty line behind or before it."""
        words, self._words = self._words, ""
        self._links = [(address, 0) for address, _ in self._links]
        if self._preformatted and words:
            self._lines.append(words)
        elif words.strip():
            self._add(words.strip())
        if apart and self._lines and self._lines[-1]:
            self._lines.append("")

    def _add(self, words: str) -> None:
        mark, self._mark = self._mark, ""
        depth = max(0, len(self._lists) - 1)
        margin = "> " * self._quotes + "  " * depth
        rest = margin + " " * len(mark) if mark else margin + ("  " if self._lists else "")
        lines = textwrap.wrap(
            words,
            WIDTH,
            initial_indent=margin + mark if mark else rest,
            subsequent_indent=rest,
            break_long_words=False,
            break_on_hyphens=False,
        )
        self._lines += lines
        if self._heading:
            underline = "=" if self._heading == "h1" else "-"
            self._lines.append(rest + underline * min(WIDTH, max(map(len, lines)) - len(rest)))
