"""A compiled template for other modules: what it reads and prints, and its text for a context.

`compiled` makes it in a template process. The main process gets a description of it (`plain`, `known`),
and takes its texts from the process's answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from campaign.errors import Problem
from campaign.templating.processes.frames import Garbled, Plain, plain_problem, problem_of


@dataclass(frozen=True, slots=True)
class Text:
    """A template. `constant` is its text if it contains no expression.

    `columns` are the list's columns that it reads, by name or through `row`. `shown`: those that it prints
    without `if`, `or` or `default` for a blank one → where. `whole_row`: it may read other columns too, as
    with `row.values()`. `sources`: name → source of all templates in it.
    """

    columns: frozenset[str] = frozenset()
    shown: Mapping[str, Problem] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    whole_row: bool = False
    constant: str | None = None
    _render: Callable[[Mapping[str, object]], str] = field(default=lambda context: "", repr=False)

    def render(self, context: Mapping[str, object]) -> str:
        """Return the text for one context. Raises UserError with one Problem at the template's line."""
        return self.constant if self.constant is not None else self._render(context)


@dataclass(frozen=True, slots=True)
class Items:
    """A template that gives a list; `text` describes it."""

    text: Text
    _give: Callable[[Mapping[str, object]], list[str]] = field(repr=False)

    def of(self, context: Mapping[str, object]) -> list[str]:
        """Return the items for one context, without blank ones. Raises UserError as `render` does."""
        return self._give(context)


def is_constant(source: str) -> bool:
    """Whether a template contains no tags."""
    return not any(mark in source for mark in ("{{", "{%", "{#"))


def plain(text: Text) -> Plain:
    """Return the description of a template as plain data."""
    shown: list[Plain] = [[column, plain_problem(place)] for column, place in text.shown.items()]
    columns: list[Plain] = [*sorted(text.columns)]
    return [columns, shown, dict(text.sources), text.whole_row, text.constant]


def known(made: Plain, render: Callable[[Mapping[str, object]], str]) -> Text:
    """Return a Text from the description by `plain`; `render` gives its text. Raises Garbled."""
    match made:
        case [
            list() as columns,
            list() as shown,
            dict() as sources,
            bool() as whole_row,
            str() | None as constant,
        ]:
            return Text(
                frozenset(map(str, columns)),
                dict(map(_shown, shown)),
                {name: str(source) for name, source in sources.items()},
                whole_row,
                constant,
                render,
            )
        case _:
            raise Garbled("this is not what is known of a template")


def _shown(made: Plain) -> tuple[str, Problem]:
    match made:
        case [str() as column, place]:
            return column, problem_of(place)
        case _:
            raise Garbled("this is no column that is shown")
