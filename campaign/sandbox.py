"""The Jinja2 environment of a campaign: what a template may read, and how much work it may make.

In: the campaign's folder and its private files. Out: an `Environment` whose loader reads template
files inside that folder only, and whose operators, calls, filters and loops spend from a budget, so
that a template with a slip in it (`'a' * 300000000`, a loop in a loop in a loop) ends with a
sentence instead of the machine's memory. Jinja2's own sandbox bounds what can be reached, not what
it costs. The budget is refilled for each rendering and is each thread's own.

Markdown: the literal text of a Markdown template is Markdown and what its expressions give is not.
ASCII has exactly as many punctuation marks as Unicode has noncharacters in U+FDD0 to U+FDEF, so the
template's own marks are lexed as noncharacters; `markup` swaps the two after rendering, and no value,
however it was filtered or joined, can then be read as Markdown.
"""

from __future__ import annotations

import functools
import itertools
import re
import string
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sized
from pathlib import Path, PurePosixPath

from jinja2 import BaseLoader, StrictUndefined, TemplateNotFound, nodes
from jinja2.environment import Environment as JinjaEnvironment
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

SUFFIXES = frozenset(
    {".j2", ".jinja", ".jinja2", ".txt", ".text", ".html", ".htm", ".md", ".markdown", ".mjml", ".css"}
)
"""The endings of files that a template may be, include, import or extend."""

LARGEST_OUTPUT = 10_000_000
"""Characters that one rendering of one template may give."""

BUDGET = 100_000_000
"""Units of work of one rendering: a character made by an operator, a call or a growing filter is one."""

TURN = 50
"""Units that one turn of a loop costs."""

CALL = 1_000
"""Units that one call costs; calling a macro takes some 15 µs."""

_GROWING_FILTERS = (
    "batch", "center", "format", "indent", "join", "replace", "round", "slice", "tojson", "wordwrap",
)  # fmt: skip
_GROWING_METHODS = frozenset(
    {"center", "ljust", "rjust", "zfill", "expandtabs", "replace", "join", "translate", "to_bytes"}
)
_FORMATTERS = frozenset({"format", "format_map"})
_NUMBER = re.compile(r"\d+")
_WIDTH_FROM_ARGUMENT = re.compile(r"%[^a-zA-Z%]*\*|\{[^{}]*:[^{}]*\{")

_LOOP = "turns of a loop"  # names that no template can write after a bar
_CONCAT = "length of a concatenation"

MARK_TO_SIGN = {ord(mark): 0xFDD0 + i for i, mark in enumerate(string.punctuation)}
"""ASCII punctuation to its noncharacter, for `str.translate`."""

SIGNS = re.compile("[\ufdd0-\ufdef]")


class Environment(ImmutableSandboxedEnvironment):
    """A sandboxed Jinja2 environment with a budget; `concat` bounds what a rendering gives."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, folder: Path, *, html: bool, markdown: bool, private: Collection[Path]) -> None:
        super().__init__(
            loader=FolderLoader(folder, private),
            undefined=StrictUndefined,
            autoescape=html,
            auto_reload=False,
            keep_trailing_newline=True,
            extensions=[_MarkdownText] if markdown else [],
        )
        self.budget = _Budget()
        del self.globals["lipsum"]
        for name in _GROWING_FILTERS:
            self.filters[name] = self._paying(name, self.filters[name])
        self.filters[_LOOP] = self._turns
        self.filters[_CONCAT] = self._paid
        if markdown:
            # Values are text here: `e` has nothing to do, and `safe` says that a value is Markdown.
            self.filters.update(e=str, escape=str, forceescape=str, safe=_as_markdown)

    def concat(self, chunks: Iterable[str]) -> str:
        """Join what a template yields; Jinja2 calls it for whole templates, blocks, macros and sets."""
        parts: list[str] = []
        size = 0
        iterator = iter(chunks)
        while batch := list(itertools.islice(iterator, 256)):
            size += sum(map(len, batch))
            if size > LARGEST_OUTPUT:
                raise SecurityError(f"the template gives more than {LARGEST_OUTPUT:,} characters")
            parts += batch
        return "".join(parts)

    def call_binop(self, context: Context, operator: str, left: object, right: object) -> object:
        if operator == "*":
            self.budget.spend(_product(left, right))
        elif operator == "**" and isinstance(left, int) and isinstance(right, int):
            self.budget.spend(left.bit_length() * abs(right))
        elif operator == "%" and isinstance(left, str):
            self.budget.spend(_format_cost(left, right if isinstance(right, tuple) else (right,)))
        result: object = super().call_binop(context, operator, left, right)
        return self._paid(result) if operator == "+" else result

    def call(__self, __context: Context, __obj: object, *args: object, **kwargs: object) -> object:
        __self.budget.spend(CALL)
        name = getattr(__obj, "__name__", "")
        if name in _GROWING_METHODS:
            subject = getattr(__obj, "__self__", None)
            # As a method the separator is what joins: ', '.join(cells).
            joined = name == "join" and len(args) == 1
            __self.budget.spend(_growth(args[0], (subject,)) if joined else _growth(subject, args))
        elif name in _FORMATTERS:
            subject = getattr(getattr(__obj, "__wrapped__", None), "__self__", "")
            __self.budget.spend(_format_cost(str(subject), (*args, *kwargs.values())))
        return super().call(__context, __obj, *args, **kwargs)

    def _generate(
        self, source: nodes.Template, name: str | None, filename: str | None, defer_init: bool = False
    ) -> str:
        return super()._generate(_Metered().visit(source), name, filename, defer_init)

    def _turns(self, value: Iterable[object]) -> Iterable[object]:
        if isinstance(value, Sized):
            self.budget.spend(TURN * len(value))
            return value
        return self._each(value)

    def _each(self, values: Iterable[object]) -> Iterator[object]:
        for value in values:
            self.budget.spend(TURN)
            yield value

    def _paid(self, value: object) -> object:
        if isinstance(value, str | list | tuple):
            self.budget.spend(len(value))
        return value

    def _paying(self, name: str, function: Callable[..., object]) -> Callable[..., object]:
        """The filter `function`, its cost spent before it runs."""
        first = 1 if hasattr(function, "jinja_pass_arg") else 0

        @functools.wraps(function)
        def paying(*args: object, **kwargs: object) -> object:
            value, rest = args[first], (*args[first + 1 :], *kwargs.values())
            if name == "join" and not isinstance(value, Sized):
                value = list(value)  # type: ignore[call-overload]
                args = (*args[:first], value, *args[first + 1 :])
            if name == "format":
                self.budget.spend(_format_cost(str(value), rest))
            else:
                self.budget.spend(_growth(value, rest))
            return function(*args, **kwargs)

        return paying


class FolderLoader(BaseLoader):
    """Template files by their path from the campaign's folder, and no other file.

    A link is followed before it is judged: what it leads to must itself lie inside the folder, end
    like a template, not be hidden, and not be one of the campaign's `private` files (its list,
    ledger, secrets and keys).
    """

    def __init__(self, folder: Path, private: Collection[Path]) -> None:
        self.folder = folder.resolve()
        self._private = frozenset(path.resolve() for path in private)

    def path(self, name: str) -> Path:
        """Where the template `name` is; raises `TemplateNotFound` with a sentence that says why not."""
        asked = self.folder / PurePosixPath(name)
        path = asked.resolve()
        if not path.is_relative_to(self.folder):
            why = f"{name} lies outside the campaign's folder; templates are read only inside it"
        elif path in self._private or any(
            part.startswith(".") for part in path.relative_to(self.folder).parts
        ):
            why = f"{name} is not a template: the list, the ledger, secrets and hidden files are not readable"
        elif path.suffix.lower() not in SUFFIXES:
            why = f"{name} is not a template: its name ends in none of {', '.join(sorted(SUFFIXES))}"
        elif not path.is_file():
            why = f"there is no file {name} in the campaign's folder, {self.folder}"
        else:
            return path
        raise TemplateNotFound(name, why)

    def get_source(self, environment: JinjaEnvironment, template: str) -> tuple[str, str, None]:
        path = self.path(template)
        try:
            return path.read_text(encoding="utf-8-sig"), str(path), None
        except (OSError, UnicodeDecodeError) as error:
            raise TemplateNotFound(template, f"{template} cannot be read as UTF-8 text: {error}") from error


class _Budget(threading.local):
    left: int = BUDGET

    def refill(self) -> None:
        self.left = BUDGET

    def spend(self, units: int) -> None:
        self.left -= units
        if self.left < 0:
            raise SecurityError(
                f"the template makes too much work for one message: more than {BUDGET:,} characters built,"
                f" or more than {BUDGET // TURN:,} turns of its loops"
            )


class _Metered(NodeTransformer):
    """Sends loops and `~`, which Jinja2 does not let a sandbox intercept, through metering filters."""

    def visit_For(self, node: nodes.For) -> nodes.For:
        self.generic_visit(node)
        node.iter = _filtered(node.iter, _LOOP)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Expr:
        self.generic_visit(node)
        return _filtered(node, _CONCAT)


class _MarkdownText(Extension):
    """Writes the punctuation of a template's own text as noncharacters: see the module's docstring."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        for token in stream:
            yield (
                Token(token.lineno, token.type, _as_markdown(token.value)) if token.type == "data" else token
            )


def _as_markdown(value: object) -> str:
    return str(value).translate(MARK_TO_SIGN)


def _filtered(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno, environment=node.environment)


def _product(left: object, right: object) -> int:
    if isinstance(left, int) and isinstance(right, int):
        return left.bit_length() + right.bit_length()
    for value, times in ((left, right), (right, left)):
        if isinstance(value, str | bytes | list | tuple) and isinstance(times, int):
            return _length(value) * max(times, 0)
    return 0


def _length(value: str | bytes | list[object] | tuple[object, ...]) -> int:
    """Its characters, and those of its items' texts: a list is printed as long as they are."""
    if isinstance(value, str | bytes):
        return len(value)
    return sum(len(item) if isinstance(item, str) else TURN for item in value)


def _growth(subject: object, arguments: Iterable[object]) -> int:
    """No less than the characters that padding, joining or replacing in `subject` can make."""
    factor = 1
    for argument in arguments:
        if isinstance(argument, int):
            factor += abs(argument)
        elif isinstance(argument, str | bytes):
            factor += len(argument)
    if isinstance(subject, str | bytes):
        return (len(subject) + 1) * factor
    if isinstance(subject, list | tuple):
        return _length(subject) + len(subject) * factor
    return TURN * factor


def _format_cost(template: str, arguments: Iterable[object]) -> int:
    """No less than the characters that formatting gives: every number in `template` may be a width."""
    # More digits than these are past any budget, and int() would be slow on thousands of them.
    cost = len(template) + sum(int(number[:12]) for number in _NUMBER.findall(template))
    from_arguments = _WIDTH_FROM_ARGUMENT.search(template) is not None
    for argument in arguments:
        if isinstance(argument, str):
            cost += len(argument) * (template.count("{") + template.count("%"))
        elif from_arguments and isinstance(argument, int):
            cost += abs(argument)
    return cost
