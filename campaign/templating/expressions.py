"""Expressions of Jinja2 that stand alone → what asks them of a row: a condition, or a list of texts.

They are looked at as templates are, before any row (`compiled`); what only shows with a row's values is
a UserError at the expression's place.
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
"""Items of a list: RFC 5321 4.5.3.1.8 has servers take at least so many recipients of one message."""

_EXPRESSION = re.compile(r"\s*\{\{((?:(?!\}\}).)*)\}\}\s*", re.DOTALL)
_A_LIST = "a list of texts, such as \"{{ files.split(';') }}\""


@dataclasses.dataclass(frozen=True, slots=True)
class Condition:
    """An expression that is asked of a row; `columns` are the list's columns that it reads.

    Raises UserError where the expression fails or gives neither true nor false.
    """

    columns: frozenset[str]
    _ask: Callable[[Mapping[str, object]], bool]

    def __call__(self, context: Mapping[str, object]) -> bool:
        return self._ask(context)


def compile_condition(source: str, *, env: Environment, place: Problem, names: Names) -> Condition:
    """Compile an expression that yields true or false; raises UserError as `compile_text` does.

    An unknown name is an error even where another operand hides it.
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
        what = f"the condition gives {answer!r}, which is neither true nor false; compare it: plan == 'pro'"
        raise UserError(dataclasses.replace(place, message=what))

    return Condition(found.columns, condition)


def compile_list(source: str, *, env: Environment, place: Problem, names: Names) -> Items:
    """Compile a source that is one expression in {{ … }}, and gives a list of texts.

    Raises UserError as `compile_text` does; so do the items, where the expression gives anything else.
    """
    written = _EXPRESSION.fullmatch(source)
    if written is None:
        raise UserError(dataclasses.replace(place, message=f"expected one expression that gives {_A_LIST}"))
    found = Closure(env, names)
    ask = found.expression(written[1], place, _taken)

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


def _taken(answer: object) -> object:
    """Return an answer's items, one more at most than may be; text is none that has items."""
    if isinstance(answer, str | Mapping) or not isinstance(answer, Iterable):
        return answer
    return [str(one) if isinstance(one, int) else one for one in islice(answer, MOST_ITEMS + 1)]
