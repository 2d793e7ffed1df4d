"""Markdown → HTML, through mistune, for templates whose values are never Markdown (`sandbox`)."""

from __future__ import annotations

import mistune

from campaign.sandbox import as_html, markup

_to_html = mistune.create_markdown(escape=False, plugins=["table", "strikethrough"])

_PAGE = """\
<!DOCTYPE html>
<html><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"></head>
<body style="margin: 0; padding: 16px"><div style="max-width: 600px; margin: 0 auto; \
font: 16px/1.5 -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif">
{body}</div></body></html>
"""


def to_html(rendered: str) -> str:
    """Return the HTML page for what a Markdown template gave; values are escaped text in it."""
    return _PAGE.replace("{body}", as_html(str(_to_html(markup(rendered)))))
