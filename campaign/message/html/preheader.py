"""Adds the preheader, which inboxes show after the subject, as a hidden block at the top of the body.

Mail programs show the body's first text there. After a short preheader they would show the text that follows,
so it is padded with invisible characters to the width of the widest list. Outlook on Windows does not know
most of the styles, and has its own, `mso-hide`.
https://www.litmus.com/blog/the-ultimate-guide-to-preview-text-support
"""

from __future__ import annotations

from html import escape

from campaign.message.html.markup import START, TOKEN

ROOM = 150
"""The width of the preheader, in characters."""

# Without the usual font size of 1px, which SpamAssassin counts as invisible text (FONT_INVIS_MSGID).
_STYLE = "display:none;max-height:0;max-width:0;opacity:0;overflow:hidden;mso-hide:all"
# Neither a joiner that joins nothing nor a no-break space is dropped when blanks are collapsed.
_FILL = "&#847;&zwnj;&nbsp;"
_BEFORE_BODY = {"html", "head", "base", "link", "meta", "style", "title"}


def with_preheader(html: str, text: str) -> str:
    """Return a page with the block after `<body>`, or before the first visible content."""
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
