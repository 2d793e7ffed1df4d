"""The sandboxed Jinja2 environment of a campaign: limits what a template can read, call and print.

In: the campaign's folder and its private files. Out: an `Environment` with a loader that reads only template
files inside that folder. The kernel limits time and memory in the template processes
(`processes/limits.py`). Only where it cannot limit memory, the operators that could fill it at once are
checked here.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Callable, Collection, Iterator
from dataclasses import is_dataclass
from functools import wraps
from pathlib import Path
from typing import Any

from jinja2 import Undefined, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from campaign.templating import dates, ical, numbers
from campaign.templating.links import BEFORE_DOT, IN_ADDRESS, before_dot, guard_values, in_address
from campaign.templating.loader import FolderLoader
from campaign.templating.marks import LINE_END, Own, as_sign, bare, guarded, joined
from campaign.templating.missing import Missing
from campaign.templating.names import ROW
from campaign.templating.printing import (
    PrintingCode,
    guard_filters,
    guard_format,
    guard_joined,
    guard_percent,
    parts,
    printed,
)
from campaign.templating.processes.limits import is_memory_limited

_OF_MAPPINGS = frozenset(dir(dict))
_LARGEST_PRODUCT = 10_000_000  # characters, items or bits


class Environment(ImmutableSandboxedEnvironment):
    """A sandboxed Jinja2 environment for one kind of part."""

    code_generator_class = PrintingCode

    def __init__(
        self,
        folder: Path,
        *,
        html: bool,
        markdown: bool,
        private: Collection[Path],
        calendar: bool = False,
    ) -> None:
        self.markdown = markdown
        self.has_signs = markdown or calendar
        extensions: list[type[Extension]] = [_Composed, *([_MarkdownText] if markdown else [])]
        super().__init__(
            loader=FolderLoader(folder, private),
            undefined=Missing,
            autoescape=html,
            auto_reload=False,
            keep_trailing_newline=True,
            finalize=_printed_in_markdown if markdown else printed,
            extensions=[*extensions, *([_CalendarText] if calendar else [])],
        )
        del self.globals["lipsum"]
        del self.filters["random"]  # the message sent must be the one previewed
        self.filters.update(number=numbers.number, money=numbers.money, date=dates.date)
        self.filters.update(ical=ical.ical, ical_param=ical.ical_param)
        self.filters.update(datetime=dates.datetime, int=numbers.whole, float=numbers.real, sum=numbers.total)
        if markdown:
            # Values are text here: `e` has nothing to do, and `safe` marks a value as Markdown.
            self.filters.update(e=str, escape=str, forceescape=str)
            self.filters.update({IN_ADDRESS: in_address, BEFORE_DOT: before_dot})
            self.filters.update(safe=lambda value: Own(as_sign(str(value))))
            for name in ("int", "float", "number", "money"):
                self.filters[name] = _of_bare(self.filters[name])
            self.concat = joined  # type: ignore[method-assign]  # Jinja2 asks the environment for it
        guard_filters(self.filters)
        self.intercepted_binops = frozenset({"%"} if is_memory_limited else {"%", "*", "**"})

    def getattr(self, obj: object, attribute: str) -> object:
        """Return `obj.attribute` like Jinja2, but for a dict look up the key first.

        Jinja2 tries the attribute first, which most mappings in `vars` lack, and exceptions are slow.
        """
        if type(obj) is dict and attribute in obj and attribute not in _OF_MAPPINGS:
            return obj[attribute]
        found: object = super().getattr(obj, attribute)
        return self._unknown(obj, attribute) if isinstance(found, Undefined) and is_dataclass(obj) else found

    def getitem(self, obj: object, argument: object) -> object:
        """Return `obj[argument]` like Jinja2."""
        found: object = super().getitem(obj, argument)
        ours = isinstance(found, Undefined) and is_dataclass(obj) and isinstance(argument, str)
        return self._unknown(obj, str(argument)) if ours else found

    def _unknown(self, ours: object, attribute: str) -> Undefined:
        """Return an Undefined for a missing part of one of our values, such as `recipient`."""
        name, names = parts(ours)
        near = difflib.get_close_matches(attribute, names, 1)
        hint = f"; did you mean {name}.{near[0]}?" if near else f"; it has {', '.join(names)}"
        return self.undefined(f"{name} has no {attribute!r}{hint}")

    def wrap_str_format(self, value: object) -> Callable[..., str] | None:
        """Return the sandbox's own `str.format`, which prints what may be printed alone."""
        fill = super().wrap_str_format(value)
        if fill is None or fill.__name__ == "format_map":
            return fill
        text = getattr(value, "__self__", None)

        @wraps(fill)
        def guarded(*values: object, **named: object) -> str:
            guard_format(text, (*values, *named.values()))
            return fill(*values, **named)

        return guarded

    def _generate(self, source: nodes.Template, *arguments: Any, **named: Any) -> str:
        guard_joined(source, self)
        if self.markdown:
            guard_values(source, self)
        return super()._generate(source, *arguments, **named)

    def call_binop(self, context: Context, operator: str, left: object, right: object) -> object:
        """Refuse to format what may not be printed, and to fill the memory where nothing else limits it."""
        if operator == "%":
            guard_percent(left, right)
            size = 0
        elif operator == "**" and isinstance(left, int) and isinstance(right, int):
            size = left.bit_length() * max(right, 0)
        else:
            size = max(_product(left, right), _product(right, left))
        if size > _LARGEST_PRODUCT:
            raise SecurityError("the template makes too much of one value")
        result: object = super().call_binop(context, operator, left, right)
        return result


def _product(value: object, times: object) -> int:
    return len(value) * times if isinstance(value, str | list | tuple) and isinstance(times, int) else 0


def _printed_in_markdown(value: object) -> object:
    """As `printed`; no value changes the meaning of the marks around it."""
    printed(value)
    if isinstance(value, Own | Undefined):
        return value
    return guarded(str(value))


def _of_bare(reading: Callable[..., Any]) -> Callable[..., Any]:
    """Have a filter that reads a number take what a macro or a `set` block printed, too."""

    @wraps(reading)
    def read(value: object, *arguments: object, **named: object) -> object:
        return reading(bare(value) if isinstance(value, Own) else value, *arguments, **named)

    return read


class _Composed(Extension):
    """Composes (NFC) names, and texts in `row['…']`, because the list's columns are composed too."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        before = ["", ""]
        for token in stream:
            is_name = token.type == "name" or (token.type == "string" and before == [ROW, "lbracket"])
            if is_name and not str(token.value).isascii():
                token = Token(token.lineno, token.type, unicodedata.normalize("NFC", str(token.value)))
            yield token
            before = [before[1], token.value if token.type == "name" else token.type]


class _MarkdownText(Extension):
    """Writes the punctuation of a template's own text as noncharacters (`marks`)."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        for token in stream:
            yield (
                Token(token.lineno, token.type, as_sign(str(token.value))) if token.type == "data" else token
            )


class _CalendarText(Extension):
    """Writes the line ends of a template's own text as LINE_END (`marks`)."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        for token in stream:
            if token.type == "data":
                yield Token(token.lineno, token.type, str(token.value).replace("\n", LINE_END))
            else:
                yield token


def environment(
    folder: Path,
    *,
    html: bool,
    markdown: bool = False,
    calendar: bool = False,
    private: Collection[Path] = (),
) -> Environment:
    """Return the environment for one kind of part; `html` escapes every value for HTML.

    Templates are read inside `folder` only; `private` files (list, ledger, secrets, keys) never.
    In Markdown, a value is text and never Markdown; pass what is rendered through `markup`.
    In a calendar, the line ends of the template itself become LINE_END.
    """
    return Environment(folder, html=html, markdown=markdown, calendar=calendar, private=private)
