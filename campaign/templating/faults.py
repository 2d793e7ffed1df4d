"""Turns errors of rendering into problems that people understand, with the template's line and the column.

Jinja2 says where a template failed, but not which cell caused it. The cell is found by its value in the row,
and by the names that the template reads in that line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import jinja2

from campaign.errors import Overrun, Problem, UserError
from campaign.templating.dialects import called, explained, meant_below, unclosed_comment
from campaign.templating.grammar import fault
from campaign.templating.names import ROW, Names
from campaign.templating.numbers import Unreadable
from campaign.templating.printing import Unprintable
from campaign.templating.processes.limits import MUCH_MEMORY
from campaign.templating.uses import Uses
from campaign.wording import shown

# Jinja2 does not wrap errors of a template's own arithmetic, calls and look-ups, nor Python's error for the
# code of a template that is nested too deeply.
FAULTS = (
    jinja2.TemplateError, ArithmeticError, TypeError, ValueError, LookupError, AttributeError,
    RuntimeError, MemoryError, SyntaxError,
)  # fmt: skip

_OF_NUMBERS, _OF_MOMENTS = ("number", "money", "int", "float"), ("date", "datetime")
_NO_ATTRIBUTE = re.compile(r"'str object' has no attribute '(.*)'")
_NO_COLUMN = re.compile(
    r"(?:'dict object' has no attribute|nothing is named) '(.*?)'(?: here; did you mean .*)?", re.DOTALL
)
_OF_DATES = re.compile("strftime|isoformat|date|time|year|month|day|(iso)?weekday|hour|minute|second")
_ENDED = re.compile(r"'(\w+)' is undefined")
# Methods of texts in JavaScript, Java and PHP, in Jinja2.
_OF_OTHERS = {
    "contains": "'…' in {}", "includes": "'…' in {}", "indexOf": "{}.find('…')", "length": "{}|length",
    "startsWith": "{}.startswith('…')", "endsWith": "{}.endswith('…')", "toUpperCase": "{}|upper",
    "toLowerCase": "{}|lower", "substring": "{}[:10]", "substr": "{}[:10]", "toFixed": "{}|money",
}  # fmt: skip
_OF_A_NAME = re.compile(r"'dict object' has no|is undefined$|is not defined$")  # perhaps a column's
_OF_TEXT = re.compile(r"\bstr\b|'str'|string|sequence|real number|Unknown format code")
_OF_ARGUMENTS = re.compile(r"arguments for format|substring not found|can't sum strings")


@dataclass(frozen=True, slots=True)
class Sources:
    """The templates of a text: what each uses; inline ones are at `place`."""

    names: Names
    place: Problem
    uses: Iterable[Uses] = ()

    def columns_at(self, line: int) -> list[str]:
        """Return the columns that are read in a line, or in the nearest line before it."""
        for uses in self.uses:
            near = max((known for known in uses.read_at if known <= line), default=None)
            if near is not None and (found := self._columns(uses.read_at[near])):
                return found
        return []

    def columns_under(self, line: int, what: Iterable[str]) -> list[str]:
        """Return the columns that one of these filters or attributes is applied to in a line."""
        return self._columns(
            name for uses in self.uses for one in what for name in uses.subjects.get((line, one), ())
        )

    def _columns(self, names: Iterable[str]) -> list[str]:
        some = set(names)
        return [column for column in self.names.columns if column in some]


class Reporting:
    """A context that turns errors of rendering into a UserError at the template's line."""

    __slots__ = ("_context", "_sources")

    def __init__(self, sources: Sources, context: Mapping[str, object]) -> None:
        self._sources, self._context = sources, context

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, FAULTS):
            return
        file, line = _template_line(trace)
        place = Problem("", file=shown(Path(file)), line=line) if file else self._sources.place
        if place.line is None:  # the template is not a value in the campaign file
            place = replace(place, line=line)
        if isinstance(error, Unreadable):
            columns = _holding(error, self._sources, line or 1, self._context.get(ROW))
            of = f"{', '.join(columns)}: " if columns else ""
            raise UserError(replace(place, message=f"{of}{error}", same=f"{of}{error.what}")) from error
        if isinstance(error, jinja2.UndefinedError) and (
            message := _by_cell(error, self._sources, self._context)
        ):
            raise UserError(replace(place, message=message, same=message)) from error
        if isinstance(error, Unprintable):
            message = error.said(_name_of(error.value, self._context))
            raise UserError(replace(place, message=message, same=message)) from error
        kind = Overrun if isinstance(error, MemoryError) else UserError
        raise kind(replace(place, message=say(error, self._sources, line or 1))) from error


def say(error: BaseException, sources: Sources, line: int = 1) -> str:
    """Return a sentence about what went wrong."""
    names = sources.names
    match error:
        case jinja2.UndefinedError() if missing := _NO_ATTRIBUTE.fullmatch(str(error.message)):
            return _no_attribute(missing[1], sources, line)
        case jinja2.UndefinedError() if (ended := _ENDED.fullmatch(str(error.message))) and any(
            ended[1] in uses.stored for uses in sources.uses
        ):
            what = f"{error.message}: what is set in a loop, a block or an `if` that is false is not set here"
            return (
                f"{what}; write {{% set it = namespace(value='') %}} before it, and {{% set it.value = … %}}"
            )
        case jinja2.UndefinedError() if names.columns and _OF_A_NAME.search(str(error.message)):
            return f"{error.message}; {names.listing()}"
        case jinja2.TemplateError():
            return str(error.message)
        case RecursionError():
            return "the template includes or calls itself without end, or is nested too deeply"
        case MemoryError():
            return MUCH_MEMORY
        case SyntaxError():
            return f"the template is nested too deeply ({error.msg})"
        case UnicodeEncodeError():
            half = error.object[error.start]
            return f"the template gives half a character, U+{ord(half):04X}; write the character itself"
        case KeyError():
            return f"the template cannot do this: nothing is named {error}"
        case TypeError() | ValueError() if _is_of_text(str(error)):
            calculated = ", ".join(f"{names.written(column)}|number" for column in sources.columns_at(line))
            write = calculated or "price|number"
            return f"the template cannot do this: {error} (cells are text: write {write} to calculate)"
        case _:
            return f"the template cannot do this: {error}"


def syntax(error: jinja2.TemplateSyntaxError, source: str, names: Names) -> tuple[int, str]:
    """Return the line of a syntax error, and a sentence that says how to write it correctly."""
    what = (error.message or "this cannot be read").rstrip(".")
    if "end of comment" in what and (unclosed := unclosed_comment(source)) is not None:
        return unclosed
    if said := explained(source, error.lineno, names):
        return error.lineno, f"template syntax: {said}"
    line, said = fault(source, error.lineno, what)
    return line, f"template syntax: {said}"


def unknown(name: str, source: str, line: int, names: Names) -> str:
    """Return a sentence about an unknown name that a template reads in `line`."""
    written = explained(source, line, names, name) or called(source, line, name)
    meant = meant_below(source, line, name, names)
    if not meant and re.search(rf"(?:[=!]=|\bin\s*[\[(][^\])]*?)\s*\b{name}\b(?!\s*[.(\[])", source):
        meant = f"{name!r}, with quotes, if it is a text"
    return written or names.unknown(name, meant=meant)


def _is_of_text(error: str) -> bool:
    """Whether an error comes from calculating with text."""
    return _OF_TEXT.search(error) is not None and _OF_ARGUMENTS.search(error) is None


def _by_cell(error: jinja2.UndefinedError, sources: Sources, context: Mapping[str, object]) -> str:
    """Return a hint for `row[first_name]`, which looks up a column by the cell's value; else ""."""
    missing, row = _NO_COLUMN.fullmatch(str(error.message)), context.get(ROW)
    cells = row.items() if missing is not None and missing[1] and isinstance(row, Mapping) else ()
    column = next((column for column, cell in cells if missing is not None and cell == missing[1]), None)
    if column is None or column not in sources.names.columns:
        return ""
    return f"row[{column}] asks for a column with the cell's name; write row[{column!r}], with quotes"


def _no_attribute(attribute: str, sources: Sources, line: int) -> str:
    columns = sources.columns_under(line, [attribute])
    column = sources.names.written(columns[0]) if columns else "…"
    what = f"a cell is text, and {column} has no {attribute!r}" if columns else f"a text has no {attribute!r}"
    if attribute in _OF_OTHERS:
        return f"{what}; write {_OF_OTHERS[attribute].format(column)}"
    if _OF_DATES.fullmatch(attribute):
        return f"{what}; write {{{{ {column}|date('%d.%m.%Y') }}}}, or |datetime"
    return what


def _name_of(value: object, context: Mapping[str, object]) -> str:
    return next((name for name, known in context.items() if known is value and value is not None), "")


def _holding(error: Unreadable, sources: Sources, line: int, row: object) -> list[str]:
    """Return the columns that an unreadable value comes from."""
    numeric = any(word in error.what for word in ("number", "amount"))
    under = sources.columns_under(line, _OF_NUMBERS if numeric else _OF_MOMENTS)
    cells = row if isinstance(row, Mapping) else {}
    equal = [column for column in sources.names.columns if cells.get(column) == error.value]
    return [column for column in under if column in equal] or under or equal


def _template_line(trace: TracebackType | None) -> tuple[str | None, int | None]:
    """Return the innermost template's file (None for an inline one) and line; Jinja2 marks such frames."""
    file, line = None, None
    while trace is not None:
        frame = trace.tb_frame
        if "__jinja_exception__" in frame.f_globals:
            name = frame.f_code.co_filename
            file, line = None if name == "<template>" else name, trace.tb_lineno
        trace = trace.tb_next
    return file, line
