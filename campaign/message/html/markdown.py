"""Converts rendered Markdown to an HTML page with mistune. Values are never Markdown (`templating.marks`)."""

from __future__ import annotations

import re
from html import escape

import mistune

from campaign.templating.marks import as_html, markup

_to_html = mistune.create_markdown(escape=False, plugins=["table", "strikethrough"])
_HEADING = re.compile(r"<h[1-6]\b[^>]*>(.*?)</h[1-6]>", re.DOTALL)
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")  # such as de, or de-AT


def to_html(rendered: str, *, title: str = "", language: str = "") -> str:
    """Return the HTML page for a rendered Markdown template; values are escaped.

    The page's title is its first heading, or `title` if it has none. `language`, such as `de-AT`, becomes
    its `lang`. If it is blank, `lang` is left out: a wrong one would be worse for screen readers.
    """
    body = as_html(str(_to_html(markup(rendered))))
    heading = _HEADING.search(body)
    title = (heading and re.sub(r"<[^>]*>", "", heading[1]).strip()) or escape(title, quote=False)
    named = f' lang="{language}"' if _LANGUAGE.fullmatch(language) else ""
    return f"""\
<!DOCTYPE html>
<html{named}><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark"></head>
<body style="margin: 0; padding: 16px"><div style="max-width: 600px; margin: 0 auto; \
font: 16px/1.5 -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif">
{body}</div></body></html>
"""
