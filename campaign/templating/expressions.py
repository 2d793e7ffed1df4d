"""Compiles single Jinja2 expressions of the campaign file: a condition, or a list of texts.

They are checked before any row, like templates (`compiled`). Errors that depend on a row's values are raised
as UserError at the expression's place.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from itertools import islice

from campaign.errors import Problem, UserError
from campaign.templating.compiled import Closure
from campaign.templating.names import Names
from campaign.templating.sandbox import Environment
from campaign.templating.text import Items, Text

MOST_ITEMS = 100
"""The most items of a list: by RFC 5321 4.5.3.1.8 servers accept at least this many recipients."""

_EXPRESSION = re.compile(r"\s*\{\{((?:(?!\}\}).)*)\}\}\s*", re.DOTALL)
_A_LIST = "a list of texts, such as \"{{ files.split(';') }}\""


@dataclasses.dataclass(frozen=True, slots=True)
class Condition:
    """An expression that is true or false for a row; `columns` are the list's columns that it reads.

    Raises UserError if the expression fails, or gives neither true nor false.
    """

    columns: frozenset[str]
    _ask: Callable[[Mapping[str, object]], bool]

    def __call__(self, context: Mapping[str, object]) -> bool:
        return self._ask(context)


def compile_condition(source: str, *, env: Environment, place: Problem, names: Names) -> Condition:
    """Compile an expression that gives true or false; raises UserError like `compile_text`.

    An unknown name is an error even if another operand hides it.
    """
    if not source.strip():
        raise UserError(dataclasses.replace(place, message="is blank; leave it out, or compare something"))
    if (written := _EXPRESSION.fullmatch(source)) is not None:
        what = f"template syntax: an expression stands here without {{{{ }}}}; write: {written[1].strip()}"
        raise UserError(dataclasses.replace(place, message=what))
    found = Closure(env, names)
    ask = found.expression(source, place)

    def condition(context: Mapping[str, object]) -> bool:
        answer = ask(context)
        if isinstance(answer, bool):
            return answer
        neither = "which is neither true nor false"
        what = f"the condition gives {answer!r}, {neither}; compare it: plan == 'pro'"
        raise UserError(dataclasses.replace(place, message=what, same=neither))

    return Condition(found.columns, condition)


def compile_list(source: str, *, env: Environment, place: Problem, names: Names) -> Items:
    """Compile a source that is one expression in {{ … }} and gives a list of texts.

    Raises UserError like `compile_text`; so do the items, if the expression gives anything else.
    """
    written = _EXPRESSION.fullmatch(source)
    if written is None:
        raise UserError(dataclasses.replace(place, message=f"expected one expression that gives {_A_LIST}"))
    found = Closure(env, names)
    ask = found.expression(written[1], place, _items)

    def give(context: Mapping[str, object]) -> list[str]:
        answer = ask(context)
        if not isinstance(answer, list) or not all(isinstance(one, str) for one in answer):
            what = f"the template gives {repr(answer)[:60]}, and not {_A_LIST}"
            raise UserError(dataclasses.replace(place, message=what))
        if len(answer) > MOST_ITEMS:
            what = f"the template gives more than {MOST_ITEMS} items"
            raise UserError(dataclasses.replace(place, message=what))
        return [one.strip() for one in answer if one.strip()]

    columns = found.named & frozenset(names.columns)
    return Items(Text(columns, sources={place.path: source}, whole_row=found.reads_row), give)


def _items(answer: object) -> object:
    """Return an answer's items as a list, at most one too many; a text is returned as it is."""
    if isinstance(answer, str | Mapping) or not isinstance(answer, Iterable):
        return answer
    return [str(one) if isinstance(one, int) else one for one in islice(answer, MOST_ITEMS + 1)]
