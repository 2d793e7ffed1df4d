"""Evaluate the templates of the list settings (`where`, `name`, `email`) for each record.

    templates = ListTemplates(campaign, columns)       raises UserError with what is wrong with them
    templates.ask(records) → Named, in the records' order

The templates run in other processes (`naming`), unless the settings have none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from campaign.campaignfile.models import CampaignFile
from campaign.campaignfile.readers import is_template
from campaign.errors import Overrun, Problem, UserError
from campaign.recipients.naming import Naming
from campaign.templating.processes.frames import Frame, Garbled, Plain, problem_of
from campaign.templating.processes.pool import Pool
from campaign.templating.processes.work import Row
from campaign.templating.text import Text, is_constant, known


@dataclass(frozen=True, slots=True)
class Record:
    """A record of the list; `row` maps columns to cells, as far as they can be read.

    `wrong` says what is wrong with the record as a whole.
    """

    number: int
    line: int
    row: dict[str, str] = field(default_factory=dict)
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class Named:
    """A record with the results of the templates; `wrong` are their problems for this record.

    `email` is None if its template fails, and "" if the address is in a column. `same` is as in Problem.
    """

    record: Record
    name: str
    email: str | None = ""
    wrong: str = ""
    same: str = ""
    kept: bool = True


class ListTemplates:
    """The templates `where`, `name` and `email` of a list with these columns.

    Raises UserError with all their problems.
    """

    def __init__(self, campaign: CampaignFile, columns: tuple[str, ...]) -> None:
        settings = campaign.recipients
        self._pool: Pool | None = None
        self._constant = (settings.name or "").strip()
        email = settings.email if is_template(settings.email) else None
        self.where_columns = self.name_columns = self.email_columns = frozenset[str]()
        if settings.where is not None or email is not None or not is_constant(settings.name or ""):
            task = Naming(
                settings.where,
                settings.name,
                email,
                columns,
                dict(campaign.vars),
                campaign.folder,
                campaign.private,
                campaign.problem("recipients.where", ""),
                campaign.problem("recipients.name", ""),
                campaign.problem("recipients.email", ""),
            )
            self._pool = Pool(task)
            asked, texts = _known(self._pool.head)
            self.where_columns = asked
            self.name_columns, self.email_columns = (
                frozenset(columns) if text.whole_row else text.columns for text in texts
            )

    def ask(self, records: Iterable[Record]) -> Iterator[Named]:
        """Yield the records, including those that `where` does not keep. Raises Overrun."""
        if self._pool is None:
            yield from (Named(record, self._constant) for record in records)
            return
        rows = ((record, () if record.wrong else _asked(record)) for record in records)
        for record, answer in self._pool.each(rows):
            if isinstance(answer, Overrun):
                number, line = record.number, record.line
                raise Overrun(*(replace(one, row=number, row_line=line) for one in answer.problems))
            if isinstance(answer, UserError):
                yield Named(record, "", None, *_messages(answer.problems))
            else:
                yield _named(record, answer)


def _messages(problems: Iterable[Problem]) -> tuple[str, str]:
    """Return the messages, and the messages without the cells' own texts, "" if they have none."""
    told = tuple(problems)
    bare = [replace(p, message=p.same or p.message) for p in told] if any(p.same for p in told) else []
    wrong, same = (
        "; ".join(f"{p.path}: {p.message}" if p.path else str(p) for p in each) for each in (told, bare)
    )
    return wrong, same


def _asked(record: Record) -> Row:
    return record.number, tuple(record.row.values())


def _known(made: Plain) -> tuple[frozenset[str], list[Text]]:
    match made:
        case [list() as asked, name, email]:
            return frozenset(map(str, asked)), [known(name, _elsewhere), known(email, _elsewhere)]
        case _:
            raise Garbled("this is not what is known of a list's templates")


def _elsewhere(context: Mapping[str, object]) -> str:
    raise Garbled("a list's templates are rendered where templates run")


def _named(record: Record, answer: Frame) -> Named:
    match answer.head:
        case None:
            return Named(record, "")
        case [bool() as kept, str() | None as name, str() | None as email, list() as wrong]:
            return Named(record, name or "", email, *_messages(map(problem_of, wrong)), kept)
        case _:
            raise Garbled("this is no answer of a list's templates")
