"""Finds style sheets and malformed `style` attributes in the source of an HTML or MJML template.

Jinja's tags are hidden: an expression becomes a word, and a statement blanks.
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
    """A style sheet that a template names at `offset`, by an address without template tags."""

    address: str
    offset: int

    @property
    def is_local(self) -> bool:
        """Whether it is a local file."""
        return is_local(self.address)


@dataclass(frozen=True, slots=True)
class Malformed:
    """A `style` attribute at `offset`, as written, and the first piece of it that is not a declaration."""

    style: str
    piece: str
    offset: int


def named_sheets(source: str) -> Iterator[NamedSheet]:
    """Yield the sheets named by `<link rel="stylesheet">` and by `@import` in a `<style>`."""
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
    """Yield the `style` attributes that contain something that mail programs skip."""
    for at, token, written in _tokens(source):
        for one in attributes(token):
            if one.name != "style":
                continue
            hidden = value_of(token[one.start : one.end])
            fault = first_fault(hidden)
            if fault is None or not hidden[slice(*fault)].strip("x \n"):  # it consists of values only
                continue
            style = written[one.start : one.end]
            piece = hidden if "&" in style else style
            yield Malformed(style, piece[slice(*fault)].strip(), at + one.start)


def without_marks(source: str) -> str:
    """Return the source with Jinja's tags hidden; everything else stays in its place."""
    return _JINJA.sub(_hidden, source)


def _tokens(source: str) -> Iterator[tuple[int, str, str]]:
    """Yield (offset, tag with Jinja's tags hidden, tag as written)."""
    at = 0
    for number, token in enumerate(TOKEN.split(without_marks(source))):
        if number % 2:
            yield at, token, source[at : at + len(token)]
        at += len(token)


def _hidden(mark: re.Match[str]) -> str:
    return _NOT_A_LINE.sub("x" if mark[0][1] == "{" else " ", mark[0])
