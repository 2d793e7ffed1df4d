"""The source of an HTML or MJML template → what it says of styles, before any value is in it.

Jinja's marks are hidden: a word stands for a value, and blanks for a statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from campaign.message.html.markup import START, TOKEN, attributes, value_of, without_end
from campaign.message.html.sheets import is_local
from campaign.message.html.stylesheet import first_fault, read_sheet

_JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_NOT_A_LINE = re.compile(r"[^\n]")


@dataclass(frozen=True, slots=True)
class NamedSheet:
    """A style sheet that a template names at `offset`, by an address in which there are no values."""

    address: str
    offset: int

    @property
    def is_local(self) -> bool:
        """Whether it is a file of ours."""
        return is_local(self.address)


@dataclass(frozen=True, slots=True)
class Malformed:
    """A `style` attribute at `offset`, as written, and the first piece of it that is no declaration."""

    style: str
    piece: str
    offset: int


def named_sheets(source: str) -> Iterator[NamedSheet]:
    """Yield what `<link rel="stylesheet">` and the `@import` of a `<style>` name."""
    for at, token, written in _tokens(source):
        tag = START.match(token)
        name = tag[1].lower() if tag else ""
        if name == "link":
            value = {one.name: written[one.start : one.end] for one in attributes(token)}
            address = value_of(value.get("href", "")).strip()
            if "stylesheet" in value.get("rel", "").lower().split() and address and "{" not in address:
                yield NamedSheet(address, at)
        elif name == "style" and tag is not None:
            for one in read_sheet(without_end(written[tag.end() :])).imports:
                if "{" not in one.address:
                    yield NamedSheet(one.address, at + tag.end() + one.start)


def malformed_styles(source: str) -> Iterator[Malformed]:
    """Yield the `style` attributes with something in them that mail programs skip."""
    for at, token, written in _tokens(source):
        for one in attributes(token):
            if one.name != "style":
                continue
            hidden = value_of(token[one.start : one.end])
            fault = first_fault(hidden)
            if fault is None or not hidden[slice(*fault)].strip("x \n"):  # all of it comes from a value
                continue
            style = written[one.start : one.end]
            piece = hidden if "&" in style else style
            yield Malformed(style, piece[slice(*fault)].strip(), at + one.start)


def without_marks(source: str) -> str:
    """Return the source with Jinja's marks hidden; everything else stands where it stood."""
    return _JINJA.sub(_hidden, source)


def _tokens(source: str) -> Iterator[tuple[int, str, str]]:
    """Yield where tags stand, with Jinja's marks hidden, and as they are written."""
    at = 0
    for number, token in enumerate(TOKEN.split(without_marks(source))):
        if number % 2:
            yield at, token, source[at : at + len(token)]
        at += len(token)


def _hidden(mark: re.Match[str]) -> str:
    return _NOT_A_LINE.sub("x" if mark[0][1] == "{" else " ", mark[0])
