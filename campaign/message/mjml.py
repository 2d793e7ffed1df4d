"""MJML → an HTML template, once for a campaign, through mrml (the extra `campaign[mjml]`).

Jinja2's marks travel through as words and come back as they were. A block that stands between MJML
elements belongs into `<mj-raw>`, as MJML's own documentation says.
"""

from __future__ import annotations

import re
from pathlib import Path

from campaign.errors import Problem, UserError
from campaign.wording import shown

_MARKS = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_WORD = re.compile(r"qjinja([0-9]+)q")
_PLACE = re.compile(r" in root template(?: at position ([0-9]+):[0-9]+)?")


def to_html(source: str, file: Path) -> str:
    """Return the HTML template for an MJML template. Raises UserError with a sentence."""
    try:
        import mrml
    except ImportError:
        what = "templates.mjml needs an extra package: pip install 'campaign[mjml]'"
        raise UserError(Problem(what, shown(file))) from None
    marks: list[re.Match[str]] = []

    def hide(match: re.Match[str]) -> str:
        marks.append(match)
        return f"qjinja{len(marks) - 1}q"

    def unhide(hidden: str) -> str:
        return _WORD.sub(lambda word: marks[int(word[1])][0], hidden)

    hidden = _MARKS.sub(hide, source)
    try:
        html = str(mrml.to_html(hidden).content)
    except OSError as error:
        place = _PLACE.search(str(error))
        before = hidden[: int(place[1])] if place and place[1] else hidden
        what = f"this is no MJML: {_PLACE.sub('', str(error))}"
        if "included" in what:
            what = "mj-include is not followed; put what it names into this file"
        raise UserError(Problem(what, shown(file), unhide(before).count("\n") + 1)) from None
    there = {int(word) for word in _WORD.findall(html)}
    lost = [mark for number, mark in enumerate(marks) if number not in there and mark[0][1] != "#"]
    if lost:
        raise UserError(*(_lost(mark, file) for mark in lost))
    return unhide(html)


def _lost(mark: re.Match[str], file: Path) -> Problem:
    what = f"{mark[0][:60]} is lost: MJML has no place for it here, or calculates with what stands here"
    return Problem(what, shown(file), mark.string[: mark.start()].count("\n") + 1)
