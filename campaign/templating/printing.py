"""Decides what a template may print, and says what to write instead of anything else.

Texts, numbers, dates and times are printed. Of a list, a function or another object, readers would see
Python's own notation, such as `['a', 'b']`; of None they would see "None". Jinja2 makes text of a value in
four places, and `printed` is asked in each: `{{ value }}`, `~`, the filters that take a text, and `%` or
`format`.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence, Set
from dataclasses import is_dataclass
from decimal import Decimal
from functools import wraps
from typing import Any

from jinja2 import Environment, Undefined, nodes, pass_eval_context
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import TemplateRuntimeError
from jinja2.filters import make_attrgetter
from jinja2.nodes import EvalContext
from jinja2.runtime import LoopContext, TemplateReference
from jinja2.utils import Cycler
from markupsafe import Markup

_PRINTABLE = (
    str, int, float, Decimal, datetime.date, datetime.time, datetime.timedelta, Undefined,
)  # fmt: skip
_OF_A_TEXT = (
    "string", "upper", "lower", "capitalize", "title", "trim", "striptags", "center", "wordwrap", "wordcount",
    "indent", "truncate", "urlize", "e", "escape", "forceescape", "safe", "replace",
)  # fmt: skip
_COMPARED = "compared "  # before the name of a filter whose text is only compared
_MOST_PARTS = 3  # that a sentence names
_PART_OF_A_FIELD = re.compile(r"\{[^{}:!]*[.\[]")


class Unprintable(TemplateRuntimeError):
    """A value that is not to be printed; the message for people is `said`."""

    def __init__(self, value: object) -> None:
        self.value = value
        super().__init__(self.said())

    def said(self, name: str = "") -> str:
        """Return what is wrong and what to write; `name` is the value's name in the template, if known."""
        return _instead(self.value, name)


def printed(value: object) -> object:
    """Return a value that may be printed. Raises Unprintable for any other."""
    kind = type(value)  # faster than isinstance for the common types
    if kind is str or kind is Markup or kind is int or isinstance(value, _PRINTABLE):
        return value
    raise Unprintable(value)


def guard_filters(filters: MutableMapping[str, Callable[..., Any]]) -> None:
    """Have the filters that make text of what they are given ask `printed` first."""
    for name in _OF_A_TEXT:
        filters[_COMPARED + name] = filters[name]
        takes_context = hasattr(filters[name], "jinja_pass_arg")
        filters[name] = (_second if takes_context else _first)(filters[name])
    filters["format"] = _all(filters["format"])
    filters["join"] = _items(filters["join"])


def guard_joined(source: nodes.Template, environment: Environment) -> None:
    """Have each operand of `~` in a parsed template ask `printed` first.

    A filter in a comparison need not ask, as in `{% if plan|lower == 'pro' %}` with a plan of null.
    """
    for compared in source.find_all(nodes.Compare):
        for filter_ in compared.find_all(nodes.Filter):
            if filter_.name in _OF_A_TEXT:
                filter_.name = _COMPARED + filter_.name
    for joined in source.find_all(nodes.Concat):
        joined.nodes = [
            part
            if isinstance(part, nodes.TemplateData | nodes.Const) and isinstance(part.as_const(), str)
            else nodes.Filter(part, "string", [], [], None, None, lineno=part.lineno, environment=environment)
            for part in joined.nodes
        ]


class PrintingCode(CodeGenerator):
    """Compiles a template; of values that are known when it is compiled it asks `printed` too."""

    def _output_child_to_const(self, node: nodes.Expr, frame: Frame, finalize: Any) -> str:
        if not isinstance(node, nodes.TemplateData):
            printed(node.as_const(frame.eval_ctx))  # if it raises, it does so again when rendering
        return super()._output_child_to_const(node, frame, finalize)


def guard_percent(text: object, values: object) -> None:
    """Raise Unprintable if `text % values` would print a value that may not be printed."""
    if not isinstance(text, str) or (isinstance(values, dict) and "%(" in text):
        return  # of a mapping only the values that the text names are printed
    for value in values if isinstance(values, tuple) else (values,):
        printed(value)


def guard_format(text: object, values: Iterable[object]) -> None:
    """Raise Unprintable if `text.format(…)` would print one of the values that may not be printed.

    If a field of the text prints a part of its value, as `{0[name]}` does, all are allowed.
    """
    if isinstance(text, str) and not _PART_OF_A_FIELD.search(text):
        for value in values:
            printed(value)


def parts(value: object) -> tuple[str, tuple[str, ...]]:
    """Return the template name of one of our values, which is its class's, and the names of its parts."""
    return type(value).__name__.strip("_").lower(), tuple(type(value).__dataclass_fields__)  # type: ignore[attr-defined]


def _first(filter_: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(filter_)
    def guarded(value: object, *arguments: object, **named: object) -> object:
        printed(value)
        return filter_(value, *arguments, **named)

    return guarded


def _second(filter_: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(filter_)
    def guarded(context: object, value: object, *arguments: object, **named: object) -> object:
        printed(value)
        return filter_(context, value, *arguments, **named)

    return guarded


def _all(filter_: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(filter_)
    def guarded(*arguments: object, **named: object) -> object:
        for value in (*arguments, *named.values()):
            printed(value)
        return filter_(*arguments, **named)

    return guarded


def _items(join: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(join)
    @pass_eval_context
    def guarded(
        context: EvalContext, value: Iterable[object], d: str = "", attribute: str | int | None = None
    ) -> object:
        if attribute is not None:
            value = map(make_attrgetter(context.environment, attribute), value)
        return join(context, map(printed, value), d)

    return guarded


def _instead(value: object, name: str) -> str:
    this = name or "this"
    match value:
        case None:
            return "a null value would be printed as None; write: {{ value or '' }}"
        case LoopContext():
            return "loop is no text itself; for the number of the round write {{ loop.index }}"
        case TemplateReference():
            return "self is the template, and prints nothing; its blocks are self.NAME()"
        case Cycler():
            return "a cycler is no text itself; write .next() behind it"
        case _ if callable(value):
            return _to_call(value, name)
        case bytes() | bytearray():
            return "octets would be printed as b'…'; write what the text is made of"
        case Mapping():
            return f"{this} has several values, and is none itself; {_one_of(value, name)}"
        case _ if is_dataclass(value):
            ours, names = parts(value)
            written = " or ".join(f"{{{{ {ours}.{part} }}}}" for part in names)
            return f"{ours} has several values, and is none itself; write {written}"
        case Iterator():
            return "this gives several values one by one; write |join(', ') behind it"
        case list() | tuple() if value and isinstance(value[0], dict | list | tuple):
            loop = f"{{% for one in {name or '…'} %}} … {{% endfor %}}"
            return f"{this} is a list of several values each, and would be printed as [{{…}}]; write {loop}"
        case Sequence() | Set() | Iterable():
            return f"{this} is a list, and would be printed as ['…', '…']; write |join(', ') behind it"
        case _:
            return f"a {type(value).__name__} would be printed as Python shows it; write one of its values"


def _to_call(function: object, this: str) -> str:
    name = getattr(function, "__name__", None) or getattr(function, "name", None) or this or "this"
    holder = getattr(function, "__self__", None)
    if isinstance(holder, dict) and name in holder:
        return f"{name} is a function here; for the value of that name write ['{name}'] in place of .{name}"
    return f"{name} is a function; call it to print what it gives: {name}(…)"


def _one_of(values: Mapping[object, object], name: str) -> str:
    some = [f"{name}[{key!r}]" for key in list(values)[:_MOST_PARTS] if isinstance(key, str | int)]
    if not some:
        return "write one of its values"
    more = " or another of them" if len(values) > _MOST_PARTS else ""
    return f"write {' or '.join(some)}{more}" + ("" if name else " behind it")
