"""MJML → an HTML template, once for a campaign, through mrml (the extra `campaign[mjml]`).

Jinja2's marks travel through as words and come back as they were. A block that stands between MJML
elements belongs into `<mj-raw>`, as MJML's own documentation says.
"""

from __future__ import annotations

import re
from pathlib import Path

from campaign.errors import Problem, UserError
from campaign.place import shown

_MARKS = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)


def to_html(source: str, file: Path) -> str:
    """Return the HTML template for an MJML template. Raises UserError with a sentence."""
    try:
        import mrml
    except ImportError:
        what = "templates.mjml needs an extra package: pip install 'campaign[mjml]'"
        raise UserError(Problem(what, shown(file))) from None
    marks: list[str] = []

    def hide(match: re.Match[str]) -> str:
        marks.append(match[0])
        return f"qjinja{len(marks) - 1}q"

    hidden = _MARKS.sub(hide, source)
    try:
        html = mrml.to_html(hidden)
    except OSError as error:
        raise UserError(Problem(f"this is no MJML: {error}", shown(file))) from None
    text = str(html.content)
    return re.sub(r"qjinja(\d+)q", lambda match: marks[int(match[1])], text)
