"""The preheader: what a list of mails shows behind the subject, as a hidden block at the body's top.

Mail programs show the body's first text there. Behind a short preheader they would show what follows, so
it is padded with invisible characters up to what the widest list has room for. Outlook on Windows does
not know most of the styles, and has one of its own, `mso-hide`.
https://www.litmus.com/blog/the-ultimate-guide-to-preview-text-support
"""

from __future__ import annotations

from html import escape

from campaign.message.html.markup import START, TOKEN

ROOM = 150
"""Characters that are filled."""

# Without the usual font size of 1px: SpamAssassin counts that as invisible text (FONT_INVIS_MSGID).
_STYLE = "display:none;max-height:0;max-width:0;opacity:0;overflow:hidden;mso-hide:all"
# A joiner that joins nothing, and a blank that ends no line: neither is dropped where blanks are folded.
_FILL = "&#847;&zwnj;&nbsp;"
_BEFORE_BODY = {"html", "head", "base", "link", "meta", "style", "title"}


def with_preheader(html: str, text: str) -> str:
    """Return a page with the block behind `<body>`, or before the first thing that would be shown."""
    text = " ".join(text.split())
    if not text:
        return html
    block = f'<div style="{_STYLE}">{escape(text)}{_FILL * max(0, ROOM - len(text))}</div>'
    place = _place(html)
    return f"{html[:place]}{block}{html[place:]}"


def _place(html: str) -> int:
    """Return where the body's content begins."""
    first: int | None = None
    at = 0
    for number, piece in enumerate(TOKEN.split(html)):
        if number % 2:
            tag = START.match(piece)
            name = tag[1].lower() if tag is not None else ""
            if name == "body":
                return at + len(piece)
            if name and name not in _BEFORE_BODY and first is None:
                first = at
        elif piece.strip() and first is None:
            first = at
        at += len(piece)
    return at if first is None else first
