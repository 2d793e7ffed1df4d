"""Keeps values in Markdown templates plain text: only the template's own punctuation is Markdown.

ASCII has 32 punctuation marks, and Unicode has 32 noncharacters from U+FDD0 to U+FDEF. The lexer
writes the template's own marks as noncharacters (`as_sign`). After rendering, `markup` swaps the
two, so that only the template's marks are Markdown, however a value was filtered or joined. After the
conversion of the Markdown, `as_html` restores the values' marks. Backslash escapes would not work: in code
and in raw HTML they are visible.

The marks around a value must not change with the value either: `**{{ x }}**` with a blank cell is `****`, a
rule, and `{{ year }}. It was …` would be a numbered list. So `guarded` puts BLANK beside it; `markup` makes
letters of BLANK, and `as_html` removes them. A text that the template made, as with a macro, is `Own` and
stays as it is.
"""

from __future__ import annotations

import html
import re
import string
from collections.abc import Iterable
from urllib.parse import quote

_FIRST_SIGN = 0xFDD0
_MARK_TO_SIGN = {ord(mark): _FIRST_SIGN + i for i, mark in enumerate(string.punctuation)}
_SIGN_TO_MARK = {sign: mark for mark, sign in _MARK_TO_SIGN.items()}
_SIGN_TO_HTML = {sign: html.escape(chr(mark)) for sign, mark in _SIGN_TO_MARK.items()}
# A sign in a link's address, as Markdown renderers write it: the octets of U+FDD0 to U+FDEF.
_SIGN_IN_URL = re.compile("%EF%B7%([9A][0-9A-F])", re.IGNORECASE)

BLANK = "\ufffe"
"""What stands beside a value that begins or ends with anything but a letter or a digit."""

# Letters to every reader of Markdown: two of Linear A, in an order that no text has.
_LETTERS = "\U00010677\U00010603"
_BLANK_PARAGRAPH = re.compile(rf"<p>(?:\s|{_LETTERS})*</p>\n?")

SIGNS = re.compile(f"[\ufdd0-\ufdef{BLANK}]")
"""Characters that a cell must not contain if it is rendered into Markdown or a calendar."""

LINE_END = "\ufdd0"
"""Stands for a line end of a calendar's template; one in a value stays, and is found after rendering."""


class Own(str):
    """A text that the template itself made, such as a macro's; its marks are Markdown."""

    __slots__ = ()


def guarded(value: str) -> str:
    """Return a printed value; BLANK is beside it where its first or last sign could change marks there."""
    front = "" if _is_like_a_letter(value[:1]) else BLANK
    back = "" if _is_like_a_letter(value[-1:]) else BLANK
    return f"{front}{value}{back}"


def unnumbered(value: str) -> str:
    """Return a text with BLANK before a number that is its last line.

    With the template's own dot behind it, such a line would begin a numbered list. A number that is no text,
    such as `loop.index`, may begin one.
    """
    last = value.rpartition("\n")[2]
    return f"{value.removesuffix(last)}{BLANK}{last}" if last.isdecimal() else value


def _is_like_a_letter(edge: str) -> bool:
    return edge.isalnum() or edge == "\n" or SIGNS.match(edge) is not None


def joined(pieces: Iterable[str]) -> str:
    """Return what a template, a macro or a block printed; without BLANK if it printed blank values alone."""
    text = "".join(pieces)
    bare = text.replace(BLANK, "")
    return bare if text != bare and not bare.strip() else Own(text)


def markup(rendered: str) -> str:
    """Return the Markdown of a rendered template; the marks in its values become noncharacters."""
    return rendered.translate(_MARK_TO_SIGN | _SIGN_TO_MARK | {ord(BLANK): _LETTERS})


def as_html(page: str) -> str:
    """Return HTML that was made from `markup` with the values' marks restored and escaped, also in links."""
    page = _BLANK_PARAGRAPH.sub("", page).replace(_LETTERS, "").replace(quote(_LETTERS), "")
    page = _SIGN_IN_URL.sub(lambda found: chr(_FIRST_SIGN - 0x90 + int(found[1], 16)), page)
    return page.translate(_SIGN_TO_HTML)


def as_marks(text: str) -> str:
    """Return text from `as_sign` as it was."""
    return text.translate(_SIGN_TO_MARK)


def bare(text: str) -> str:
    """Return a text that was printed into Markdown as its readers will see it."""
    return as_marks(text).replace(BLANK, "")


def as_sign(text: str) -> str:
    """Return text with its punctuation as noncharacters; `markup` turns them into Markdown again."""
    return text.translate(_MARK_TO_SIGN)
