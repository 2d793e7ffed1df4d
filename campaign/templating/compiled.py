"""Compiles templates, and finds all errors that do not depend on a row.

In: a template file's name or an inline source, the names that its context will have, and the place to
report. Out: a `Text` to render for each recipient. Syntax errors, unknown names and unknown columns are
found here, before any row, also in included and parent templates. Errors that depend on a row's values are
raised by `render` as UserError, with the template and its line; the caller adds the row.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

import jinja2
from jinja2 import meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.parser import Parser

from campaign.errors import Problem, UserError
from campaign.templating import dialects
from campaign.templating.faults import FAULTS, Reporting, Sources, say, syntax, unknown
from campaign.templating.grammar import assigns, not_jinja
from campaign.templating.inheritance import left_out
from campaign.templating.loader import FolderLoader
from campaign.templating.marks import SIGNS
from campaign.templating.names import ROW, Names
from campaign.templating.processes.page import encoded, here
from campaign.templating.sandbox import Environment
from campaign.templating.text import Text, is_constant
from campaign.templating.uses import Uses
from campaign.wording import shown

LARGEST_OUTPUT = 10_000_000
"""The most characters that rendering a template once may give."""


def compile_text(source: str, *, env: Environment, place: Problem, names: Names) -> Text:
    """Compile a source that is inline in the campaign file, at `place`.

    Raises UserError with every problem: syntax, unknown names and columns, unreadable includes.
    """
    if not env.markdown and is_constant(source):
        return Text(sources={place.path: source}, constant=source)
    found = Closure(env, names)
    found.read(None, source, place)
    return found.text(lambda: env.from_string(source), place)


def compile_file(name: str, *, env: Environment, place: Problem, names: Names) -> Text:
    """Compile the template file `name`, a path from the campaign's folder that is named at `place`.

    Raises UserError with every problem of it and of the templates that it includes or extends.
    """
    found = Closure(env, names)
    found.load(name, place)
    return found.text(lambda: env.get_template(name), place)


class Closure:
    """A template with all that it includes, imports and extends: their problems, names and sources."""

    def __init__(self, env: Environment, names: Names) -> None:
        self.problems: list[Problem] = []
        self._env = env
        self._known = names
        self._sources: dict[str, str] = {}
        self._undeclared: dict[str, set[str]] = {}
        self._uses: dict[str, Uses] = {}
        self._places: dict[str, Problem] = {}
        self._trees: dict[str, nodes.Template] = {}
        self._expression = ""

    def load(self, name: str, place: Problem, *, optional: bool = False) -> None:
        """Read a template file once; `place` is where it is named, for a problem with its name."""
        if name in self._sources:
            return
        loader = self._env.loader
        assert isinstance(loader, FolderLoader)  # noqa: S101
        try:
            source, path, _ = loader.get_source(self._env, name)
        except jinja2.TemplateNotFound as error:
            if not optional:
                self.problems.append(dataclasses.replace(place, message=str(error.message)))
            return
        self.read(name, source, Problem("", file=shown(Path(path))))

    def read(self, name: str | None, source: str, place: Problem) -> None:
        """Parse one source, and load the templates that it names; `name` is None for an inline one."""
        key = name or place.path
        self._sources[key] = source
        self._places[key] = place
        here.note(encoded(place))
        try:
            tree = self._env.parse(source, name)
            wrong = [*_misnamed(self._env, tree), *_in_quotes(tree, self._known)]
            if wrong:
                self.problems += [_at(place, line, message) for line, message in wrong]
                return
            self._undeclared[key] = meta.find_undeclared_variables(tree)
        except jinja2.TemplateSyntaxError as error:
            self.problems.append(_at(place, *syntax(error, source, self._known)))
            return
        except FAULTS as error:
            self.problems.append(dataclasses.replace(place, message=say(error, Sources(self._known, place))))
            return
        self._uses[key] = Uses(tree)
        self._trees[key] = tree
        for node in tree.find_all((nodes.Include, nodes.Extends, nodes.Import, nodes.FromImport)):
            match node:
                case nodes.Include(template=nodes.Const(value=str() as other)) if node.ignore_missing:
                    self.load(other, _at(place, node.lineno), optional=True)
                case nodes.Include(template=nodes.Tuple(items=items) | nodes.List(items=items)):
                    for item in items:
                        if isinstance(item, nodes.Const) and isinstance(item.value, str):
                            self.load(item.value, _at(place, node.lineno), optional=True)
                case (
                    nodes.Include(template=nodes.Const(value=str() as other))
                    | nodes.Extends(template=nodes.Const(value=str() as other))
                    | nodes.Import(template=nodes.Const(value=str() as other))
                    | nodes.FromImport(template=nodes.Const(value=str() as other))
                ):
                    self.load(other, _at(place, node.lineno))
                case _:
                    pass  # a computed name: rendering reports its errors

    def read_expression(self, source: str, place: Problem) -> None:
        """Parse one expression; otherwise like `read`."""
        here.note(encoded(place))
        self._expression = source
        try:
            parser = Parser(self._env, source, state="variable")
            expression = parser.parse_expression()
            if not parser.stream.eos:
                parser.fail("an expression ends before this", parser.stream.current.lineno)
            tree = nodes.Template([nodes.Output([expression], lineno=1)], lineno=1)
            tree.set_environment(self._env)
            if misnamed := list(_misnamed(self._env, tree)):
                self.problems += [dataclasses.replace(place, message=message) for _, message in misnamed]
                return
            self._undeclared[place.path] = meta.find_undeclared_variables(tree)
        except jinja2.TemplateSyntaxError as error:
            message = syntax(error, source, self._known)[1]
            message += "; `=` compares nothing: write `==`" if assigns(source) else not_jinja(source)
            self.problems.append(dataclasses.replace(place, message=message))
            return
        except FAULTS as error:
            self.problems.append(dataclasses.replace(place, message=say(error, Sources(self._known, place))))
            return
        self._places[place.path] = place
        self._uses[place.path] = Uses(tree)
        self.problems += self._unknown()

    def expression(
        self, source: str, place: Problem, take: Callable[[object], object] = lambda answer: answer
    ) -> Callable[[Mapping[str, object]], object]:
        """Check one expression, and return a function that evaluates it and applies `take` to the result.

        Both raise UserError.
        """
        self.read_expression(source, place)
        if self.problems:
            raise UserError(*self.problems)
        sources, noted = self.sources(place), encoded(place)
        here.note(noted)
        with Reporting(sources, {}):
            ask = self._env.compile_expression(source, undefined_to_none=False)

        def evaluate(context: Mapping[str, object]) -> object:
            here.note(noted)
            with Reporting(sources, context):
                answer = ask(context)
                if isinstance(answer, jinja2.Undefined):
                    str(answer)  # StrictUndefined raises an error that names what is missing
                return take(answer)

        return evaluate

    @property
    def columns(self) -> frozenset[str]:
        """The list's columns that are read; all of them, if the whole row may be read."""
        columns = frozenset(self._known.columns)
        return columns if self.reads_row else columns & self.named

    @property
    def reads_row(self) -> bool:
        """Whether it may read columns that it does not name."""
        return any(use.whole_row for use in self._uses.values())

    @property
    def named(self) -> frozenset[str]:
        """The names that it reads, without the program's own."""
        by_name = frozenset().union(*self._undeclared.values()) - self._known.others - {ROW}
        return by_name.union(*(use.columns.keys() for use in self._uses.values()))

    def sources(self, place: Problem) -> Sources:
        """What error messages need to know about the closure when it is rendered."""
        return Sources(self._known, place, tuple(self._uses.values()))

    def text(self, load: Callable[[], jinja2.Template], place: Problem) -> Text:
        """Return the compiled text; raises UserError with all problems of the closure."""
        for key in self._trees:
            self.problems += [_at(self._places[key], *lost) for lost in left_out(key, self._trees)]
        self.problems += self._unknown()
        if self.problems:
            raise UserError(*self.problems)
        own = next(iter(self._places.values()), place)  # in a template file, or in the campaign file
        sources, noted = self.sources(place), encoded(own)
        here.note(noted)
        with Reporting(sources, {}):
            template = load()
        check = _check_signs if self._env.has_signs else _no_check

        def render(context: Mapping[str, object]) -> str:
            here.note(noted)
            with Reporting(sources, context):
                check(context)
                text = template.render(context)
                if len(text) > LARGEST_OUTPUT:
                    raise SecurityError(f"the template gives more than {LARGEST_OUTPUT:,} characters")
                if not text.isascii():
                    text.encode()  # raises for half of a surrogate pair, from "\ud83d"
                return text

        uses = list(self._uses.values())
        columns = self.named & frozenset(self._known.columns)
        handled = frozenset().union(*(use.tested for use in uses))
        printed = {
            name: _at(self._places[key], line)
            for key, use in reversed(self._uses.items())
            for name, line in use.printed.items()
            # If another cell decides whether it is printed, a blank one may be intended.
            if any(columns.isdisjoint(tests) for tests in use.under.get(name, ()))
        }
        return Text(
            columns=columns,
            shown={column: place for column, place in printed.items() if column in columns - handled},
            sources=self._sources,
            whole_row=self.reads_row,
            _render=render,
        )

    def _unknown(self) -> Iterator[Problem]:
        if not self._known.columns:  # the list cannot be read
            return
        known = self._known.known()
        # Included templates and the parent see the names that a loop or a set defines.
        stored = frozenset().union(*(use.stored for use in self._uses.values()))
        for key, uses in self._uses.items():
            place = self._places[key]
            source = self._sources.get(key, self._expression)
            messages: set[tuple[int, str]] = set()  # both names of {{ E-Mail }} have the same message
            for name in sorted(self._undeclared[key] - known - stored - uses.defined):
                line = uses.loaded.get(name)
                if line is not None:
                    messages.add((line, unknown(name, source, line, self._known)))
            yield from (_at(place, line, what) for line, what in sorted(messages))
            for column, line in uses.columns.items():
                if column not in self._known.columns and column not in uses.defined:
                    yield _at(place, line, self._known.unknown(column, column=True))


def _check_signs(context: Mapping[str, object]) -> None:
    """Refuse cells that contain the characters that stand for a template's own marks (`marks`)."""
    row = context.get(ROW)
    for column, cell in row.items() if isinstance(row, Mapping) else ():
        found = SIGNS.search(cell)
        if found is not None:
            raise ValueError(f"the cell {column!r} holds U+{ord(found[0]):04X}, which is no character")


def _no_check(context: Mapping[str, object]) -> None:
    pass


def _at(place: Problem, line: int, message: str = "") -> Problem:
    """Return `place` with a line, unless it has one: that of a value in the campaign file."""
    return dataclasses.replace(place, message=message, line=line if place.line is None else place.line)


def _misnamed(env: Environment, tree: nodes.Template) -> Iterator[tuple[int, str]]:
    """Yield unknown filters and tests; inside an `if`, Jinja2 would find them only when rendering."""
    kinds: tuple[tuple[type[nodes.Filter | nodes.Test], str, Collection[str]], ...] = (
        (nodes.Filter, "filter", env.filters),
        (nodes.Test, "test", env.tests),
    )
    for type_, kind, table in kinds:
        for node in tree.find_all(type_):
            if node.name not in table:
                other = dialects.FILTERS.get(node.name) if kind == "filter" else None
                near = [other] if other else difflib.get_close_matches(node.name, table, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                yield node.lineno, f"no {kind} is named {node.name!r}{hint}"


def _in_quotes(tree: nodes.Template, names: Names) -> Iterator[tuple[int, str]]:
    """Yield columns' names that are printed as texts, as with `{{ "first_name" }}`."""
    for output in tree.find_all(nodes.Output):
        for printed in output.nodes:
            inner: nodes.Node | None = printed
            while isinstance(inner, nodes.Filter):
                inner = inner.node
            if isinstance(inner, nodes.Const) and inner.value in names.columns:
                column = names.written(str(inner.value))
                yield (
                    inner.lineno,
                    f"{inner.value!r} in quotes is this word itself; the column is {{{{ {column} }}}}",
                )
