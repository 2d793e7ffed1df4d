"""Styles in the templates that mail programs do not read.

- A `style` attribute that contains something other than declarations, such as `color #333`: mail programs
  skip that piece, and so does the inliner.
- A style sheet on a server, by `<link rel="stylesheet">` or `@import`: it is never fetched for inlining,
  and few mail programs fetch it. A file in the campaign's folder is read and inlined. Web fonts, such as
  those of fonts.googleapis.com, are not reported: without them, another font is shown.
- A style sheet in a file, with `inline_css: false`: it is not sent with the message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from campaign.checks.checked import Surveyed
from campaign.checks.found import Found
from campaign.checks.rule import Rule
from campaign.errors import Problem
from campaign.message.html.template_styles import malformed_styles, named_sheets

_FONTS = re.compile(
    r"(?:https?:)?//(?:[\w-]+\.)*(?:fonts\.[\w-]+\.\w+|typekit\.net|fonts\.net)/", re.IGNORECASE
)


class Check(Rule):
    """Reports styles in the templates that mail programs do not read."""

    def report(self, surveyed: Surveyed, found: Found) -> Iterator[Problem]:
        """Yield the problems in the sources of the templates, independent of rows."""
        for name, source in self.checked.sources.html.items():
            for odd in malformed_styles(source):
                style = " ".join(odd.style.split())
                style = style if len(style) <= 80 else f"{style[:79]}…"
                what = f"{' '.join(odd.piece.split())[:60]!r} is not a declaration such as 'color: red'"
                yield self._at(name, odd.offset, f'{what}, and mail programs skip it: style="{style}"')
            for sheet in named_sheets(source):
                what = f"the style sheet {sheet.address[:80]!r}"
                if not sheet.is_local and _FONTS.match(sheet.address):
                    continue
                if not sheet.is_local:
                    what = f"{what} is on a server: it is not fetched, and few mail programs fetch it"
                    yield self._at(name, sheet.offset, f"{what}; put its rules into a file here")
                elif not self.checked.content.inline_css:
                    what = f"{what} is not sent with the message"
                    yield self._at(name, sheet.offset, f"{what}; it is inlined if inline_css is true")

    def _at(self, name: str, offset: int, what: str) -> Problem:
        return self.at(self.checked.sources.at(name, offset), what)
