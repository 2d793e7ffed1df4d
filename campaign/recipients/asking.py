"""A list's own templates as the list asks them: records → those that `where` keeps, with their names.

    templates = ListTemplates(campaign, columns)       raises UserError with what is wrong with them
    templates.ask(records) → Named, in the records' order

The templates run elsewhere (`naming`), unless there is nothing in them to ask.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from campaign.campaignfile.models import CampaignFile
from campaign.errors import Overrun, Problem, UserError
from campaign.recipients.naming import Naming
from campaign.templating.processes.frames import Frame, Garbled, problem_of
from campaign.templating.processes.pool import Pool
from campaign.templating.text import is_constant, known


@dataclass(frozen=True, slots=True)
class Record:
    """A record of the list; `row` has its cells by their columns, as far as they can be read.

    `wrong` says what is wrong with it as a whole.
    """

    number: int
    line: int
    row: dict[str, str] = field(default_factory=dict)
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class Named:
    """A record as the templates see it; `wrong` is what is wrong with them for it."""

    record: Record
    name: str
    wrong: str = ""
    kept: bool = True


class ListTemplates:
    """The templates `where` and `name` of a list with these columns. Raises UserError with all problems."""

    def __init__(self, campaign: CampaignFile, columns: tuple[str, ...]) -> None:
        settings = campaign.recipients
        self._pool: Pool | None = None
        self._constant = (settings.name or "").strip()
        if settings.where is not None or not is_constant(settings.name or ""):
            task = Naming(
                settings.where,
                settings.name,
                columns,
                dict(campaign.vars),
                campaign.folder,
                campaign.private,
                campaign.problem("recipients.where", ""),
                campaign.problem("recipients.name", ""),
            )
            self._pool = Pool(task)

    @property
    def name_columns(self) -> frozenset[str]:
        """The columns that the name is made from."""
        return known(self._pool.head, str).columns if self._pool is not None else frozenset()

    def ask(self, records: Iterable[Record]) -> Iterator[Named]:
        """Yield the records, those too that `where` does not keep. Raises Overrun."""
        if self._pool is None:
            yield from (Named(record, self._constant) for record in records)
            return
        rows = ((record, () if record.wrong else tuple(record.row.values())) for record in records)
        for record, answer in self._pool.each(rows):
            if isinstance(answer, Overrun):
                number, line = record.number, record.line
                raise Overrun(*(replace(one, row=number, row_line=line) for one in answer.problems))
            if isinstance(answer, UserError):
                yield Named(record, "", _said(answer.problems))
            else:
                yield _named(record, answer)


def _said(problems: Iterable[Problem]) -> str:
    return "; ".join(f"{p.path}: {p.message}" if p.path else str(p) for p in problems)


def _named(record: Record, answer: Frame) -> Named:
    match answer.head:
        case None:
            return Named(record, "")
        case [bool() as kept, str() as name, list() as wrong]:
            return Named(record, name, _said(map(problem_of, wrong)), kept)
        case _:
            raise Garbled("this is no answer of a list's templates")
