"""A list's own templates, `where` and `name`, run where templates run: cells → kept or not, and the name.

A row is its cells, in the columns' order, or nothing where nothing is asked of it. Made is
[kept, name, what is wrong with the name].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from campaign.errors import Overrun, Problem, UserError
from campaign.templating.names import Names, row_context
from campaign.templating.processes.frames import Plain, plain_problem
from campaign.templating.processes.work import Made, Opened, Row
from campaign.templating.text import Text, plain


@dataclass(frozen=True, slots=True)
class Naming:
    """The task of asking a list's templates; None for one that the campaign file does not have."""

    where: str | None
    name: str | None
    columns: tuple[str, ...]
    vars: Mapping[str, object]
    folder: Path
    private: tuple[Path, ...]
    at_where: Problem
    at_name: Problem

    @property
    def modules(self) -> tuple[str, ...]:
        """What compiles."""
        return ("campaign.templating.compiled", "campaign.templating.sandbox")

    def open(self) -> Opened:
        """Compile both. Raises UserError with all problems."""
        from campaign.templating.compiled import compile_condition, compile_text
        from campaign.templating.sandbox import environment

        env = environment(self.folder, html=False, private=self.private)
        names = Names(self.columns, frozenset(self.vars))
        problems: list[Problem] = []
        keeps, text = None, Text(constant="")
        try:
            if self.where is not None:
                keeps = compile_condition(self.where, env=env, place=self.at_where, names=names)
        except UserError as error:
            problems += error.problems
        try:
            if self.name is not None:
                text = compile_text(self.name, env=env, place=self.at_name, names=names)
        except UserError as error:
            problems += error.problems
        if problems:
            raise UserError(*problems)

        def make(row: Row) -> Made:
            if not row:
                return Made(None)
            context = {**self.vars, **row_context(dict(zip(self.columns, map(str, row), strict=True)))}
            if keeps is not None and not keeps(context):
                return Made([False, "", []])
            try:
                return Made([True, text.render(context).strip(), []])
            except Overrun:
                raise
            except UserError as error:
                wrong: list[Plain] = [plain_problem(problem) for problem in error.problems]
                return Made([True, "", wrong])

        return Made(plain(text)), make
