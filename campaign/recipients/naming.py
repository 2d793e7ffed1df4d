"""The task that evaluates the list's templates (`where`, `name`, `email`) in a worker process.

In: a row's number and its cells in the columns' order, or nothing if nothing is to be evaluated. Out:
[kept, name, address, problems of the two]; null for what failed.
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

RECIPIENT = "recipient"
"""The part of the recipient that these templates can use: `recipient.number`."""


@dataclass(frozen=True, slots=True)
class _Recipient:
    number: int


@dataclass(frozen=True, slots=True)
class Naming:
    """The list's templates; None for one that the campaign file does not have.

    Its facts are [columns of `where`, name, email], the last two in the form of `text.plain`.
    """

    where: str | None
    name: str | None
    email: str | None
    columns: tuple[str, ...]
    vars: Mapping[str, object]
    folder: Path
    private: tuple[Path, ...]
    at_where: Problem
    at_name: Problem
    at_email: Problem

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules that compile the templates."""
        return ("campaign.templating.expressions", "campaign.templating.sandbox")

    def open(self) -> Opened:
        """Compile the templates. Raises UserError with all problems."""
        from campaign.templating.compiled import compile_text
        from campaign.templating.expressions import Condition, compile_condition
        from campaign.templating.sandbox import environment

        env = environment(self.folder, html=False, private=self.private)
        names = Names(self.columns, frozenset(self.vars) | {RECIPIENT})
        problems: list[Problem] = []
        keeps: Condition | None = None
        texts: list[Text] = []
        try:
            if self.where is not None:
                keeps = compile_condition(self.where, env=env, place=self.at_where, names=names)
        except UserError as error:
            problems += error.problems
        for source, place in ((self.name, self.at_name), (self.email, self.at_email)):
            try:
                texts.append(compile_text(source or "", env=env, place=place, names=names))
            except UserError as error:
                problems += error.problems
        if problems:
            raise UserError(*problems)

        def make(row: Row) -> Made:
            if not row:
                return Made(None)
            number, cells = _number_and_cells(row)
            context = {**self.vars, **row_context(dict(zip(self.columns, cells, strict=True)))}
            context[RECIPIENT] = _Recipient(number)
            if keeps is not None and not keeps(context):
                return Made([False, "", "", []])
            made: list[Plain] = []
            wrong: list[Plain] = []
            for text in texts:
                try:
                    made.append(text.render(context).strip())
                except Overrun:
                    raise
                except UserError as error:
                    made.append(None)
                    wrong += map(plain_problem, error.problems)
            return Made([True, *made, wrong])

        asked: list[Plain] = [*sorted(keeps.columns)] if keeps is not None else []
        return Made([asked, *map(plain, texts)]), make


def _number_and_cells(row: Row) -> tuple[int, list[str]]:
    match row:
        case (int() as number, tuple() as cells):
            return number, [*map(str, cells)]
        case _:
            raise TypeError("a row is its number and its cells")
