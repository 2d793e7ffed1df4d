"""The Jinja2 environment of a campaign: what a template may read, and how much work it may make.

In: the campaign's folder and its private files. Out: an `Environment` whose loader reads template
files inside that folder only, and whose operators, calls, filters and loops spend from a budget, so
that a template with a slip in it (`'a' * 300000000`, a loop in a loop in a loop) ends with a
sentence instead of the machine's memory. Jinja2's own sandbox bounds what can be reached, not what
it costs. What one operation makes is paid before it runs; what many cheap ones add up to is bounded
by processor time. The budget is refilled for each rendering and is each thread's own.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Sized
from pathlib import Path

from jinja2 import StrictUndefined, Undefined, nodes, pass_context
from jinja2.exceptions import SecurityError, TemplateRuntimeError
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from campaign.templating import dates, numbers
from campaign.templating.budget import (
    CALL,
    Budget,
    Turns,
    breadth,
    check_integers,
    format_cost,
    growth,
    product,
)
from campaign.templating.loader import FolderLoader
from campaign.templating.marks import as_sign

LARGEST_OUTPUT = 10_000_000
"""Characters that one rendering of one template may give."""

_GROWING_FILTERS = frozenset(
    {"batch", "center", "indent", "join", "replace", "round", "slice", "tojson", "wordwrap"}
)
_GROWING_METHODS = frozenset(
    {"center", "ljust", "rjust", "zfill", "expandtabs", "replace", "join", "translate", "to_bytes"}
)
_FORMATTERS = frozenset({"format", "format_map"})

_LOOP = "turns of a loop"  # names that no template can write after a bar
_PAID = "is paid for"


class Environment(ImmutableSandboxedEnvironment):
    """A sandboxed Jinja2 environment with a budget; `concat` bounds what a rendering gives."""

    intercepted_binops = frozenset({"+", "*", "**", "%", "//"})

    def __init__(self, folder: Path, *, html: bool, markdown: bool, private: Collection[Path]) -> None:
        self.budget = Budget()
        self.markdown = markdown
        super().__init__(
            loader=FolderLoader(folder, private),
            undefined=StrictUndefined,
            autoescape=html,
            auto_reload=False,
            keep_trailing_newline=True,
            finalize=self._printed,
            extensions=[_MarkdownText] if markdown else [],
        )
        del self.globals["lipsum"]
        del self.filters["random"]  # what is sent is what was previewed
        self.filters.update(number=numbers.number, money=numbers.money, date=dates.date)
        self.filters.update(datetime=dates.datetime, int=numbers.whole, float=numbers.real)
        if markdown:
            # Values are text here: `e` has nothing to do, and `safe` says that a value is Markdown.
            self.filters.update(e=str, escape=str, forceescape=str, safe=lambda value: as_sign(str(value)))
        self.filters = {name: self._paying(name, filter_) for name, filter_ in self.filters.items()}
        # Jinja2 computes a filter of constants once, when it compiles; not one that needs the context.
        self.filters[_LOOP] = pass_context(lambda context, values: Turns(self.budget, values))
        self.filters[_PAID] = pass_context(lambda context, value: self.budget.pay(value))

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
        if isinstance(left, int) and isinstance(right, int):
            check_integers(operator, left, right)
        elif operator == "*":
            self.budget.spend(product(left, right))
        elif operator == "%" and isinstance(left, str):
            self.budget.spend(format_cost(left, right if isinstance(right, tuple) else (right,)))
        elif operator == "+":
            self.budget.spend(breadth(left) + breadth(right))
        result: object = super().call_binop(context, operator, left, right)
        return result

    def call(__self, __context: Context, __obj: object, *args: object, **kwargs: object) -> object:
        __self.budget.spend(CALL + sum(map(breadth, args)))
        if isinstance(__obj, LoopContext) and args:  # {{ loop(children) }} of a recursive loop
            args = (Turns(__self.budget, args[0]), *args[1:])
        name, subject = getattr(__obj, "__name__", ""), getattr(__obj, "__self__", None)
        __self.budget.spend(breadth(subject))
        if name in _GROWING_METHODS:
            # As a method the separator is what joins: ', '.join(cells).
            joined = name == "join" and len(args) == 1
            __self.budget.spend(growth(args[0], (subject,)) if joined else growth(subject, args))
        elif name in _FORMATTERS:
            subject = getattr(getattr(__obj, "__wrapped__", None), "__self__", "")
            __self.budget.spend(format_cost(str(subject), (*args, *kwargs.values())))
        return super().call(__context, __obj, *args, **kwargs)

    def _generate(
        self, source: nodes.Template, name: str | None, filename: str | None, defer_init: bool = False
    ) -> str:
        return super()._generate(_Metered().visit(source), name, filename, defer_init)

    def _printed(self, value: object) -> object:
        """What `{{ value }}` prints: nothing that is a slip in every template."""
        if isinstance(value, str | Undefined):
            return value
        if value is None:
            raise TemplateRuntimeError("a null value would be printed as None; write: {{ value or '' }}")
        if callable(value):
            name = getattr(value, "__name__", None) or getattr(value, "name", None) or "this"
            raise TemplateRuntimeError(f"{name} is a function; call it to print what it gives: {name}(…)")
        return self.budget.pay(value)

    def _paying(self, name: str, function: Callable[..., object]) -> Callable[..., object]:
        """The filter `function`, its cost spent before it runs."""
        first = 1 if hasattr(function, "jinja_pass_arg") else 0

        @functools.wraps(function)
        def paying(*args: object, **kwargs: object) -> object:
            value, rest = args[first], (*args[first + 1 :], *kwargs.values())
            if name == "join" and not isinstance(value, Sized):
                value = list(value)  # type: ignore[call-overload]
                args = (*args[:first], value, *args[first + 1 :])
            self.budget.pay(value)
            if name in _GROWING_FILTERS:
                self.budget.spend(growth(value, rest))
            elif name == "format":
                self.budget.spend(format_cost(str(value), rest))
            elif name == "sum" and any(isinstance(start, list | tuple) for start in rest):
                self.budget.spend(breadth(value) ** 2)  # each addition copies what there is
            return function(*args, **kwargs)

        return paying


class _Metered(NodeTransformer):
    """Sends what Jinja2 does not let a sandbox intercept, loops and `~`, through metering filters."""

    def visit_For(self, node: nodes.For) -> nodes.For:
        self.generic_visit(node)
        node.iter = _filtered(node.iter, _LOOP)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Concat:
        self.generic_visit(node)
        node.nodes = [
            part if isinstance(part, nodes.Const) else _filtered(part, _PAID) for part in node.nodes
        ]
        return node


class _MarkdownText(Extension):
    """Writes the punctuation of a template's own text as noncharacters (`marks`)."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        for token in stream:
            yield (
                Token(token.lineno, token.type, as_sign(str(token.value))) if token.type == "data" else token
            )


def _filtered(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno, environment=node.environment)


def environment(
    folder: Path, *, html: bool, markdown: bool = False, private: Collection[Path] = ()
) -> Environment:
    """Return the environment for one kind of part; `html` escapes every value for HTML.

    Templates are read inside `folder` only; `private` files (list, ledger, secrets, keys) never.
    In Markdown, a value is text and never Markdown; pass what is rendered through `markup`.
    """
    return Environment(folder, html=html, markdown=markdown, private=private)
