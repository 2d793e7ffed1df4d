"""Marks of a template that came through into a message: `{{ name }}`, from a cell or a typo."""

from __future__ import annotations

from collections.abc import Iterator

from campaign.checks.checked import Checked
from campaign.errors import Problem


def check(checked: Checked) -> Iterator[Problem]:
    """Yield a warning where the first row's message shows such marks, or nothing at all."""
    for kind, part in (("text", checked.text), ("html", checked.html)):
        if part is None:
            continue
        if "{{" in part or "{%" in part:
            yield checked.warn(
                "templates", f"the {kind} part shows {{{{ or {{% to its reader; look at a preview"
            )
        if kind == "text" and not part.strip():
            yield checked.warn("templates", "the text part is blank")
