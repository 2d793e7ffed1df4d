"""Prepare a send: read the list, compile the templates, and render every row before the first message leaves.

    Recipients → Enrolment (staged) → duplicates, suppressions → Renderer on each row to be sent → Plan

Memory stays flat: problems are kept up to a limit, and only counted beyond it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

from campaign.campaignfile.models import CampaignFile
from campaign.delivery import Message
from campaign.errors import Overrun, Problem, RowRanges, Rows, UserError
from campaign.ledger.protocols import Enrolment, Plan
from campaign.message.drafts import Looked, Refused
from campaign.message.draftstore import DraftStore
from campaign.message.render import Renderer, wrong_in_templates
from campaign.message.request import Looking
from campaign.message.tokens import Secrets
from campaign.model import BadRow, Double, Recipient
from campaign.recipients.doubles import differing, left_out
from campaign.recipients.list import Recipients
from campaign.templating.names import Names
from campaign.templating.processes.frames import Plain
from campaign.templating.processes.pool import cores
from campaign.wording import counted

MOST_SHOWN = 50
_BATCH = 1000  # bad rows that are written to the ledger together


class Tally:
    """The problems of rows, for the first faults of each file; equal ones once, with their rows.

    Two problems are equal if place and text are equal, or, for problems at the rows' own lines, the text.
    `count` counts all problems.
    """

    def __init__(self) -> None:
        self.count = 0
        self._faults: dict[tuple[object, ...], tuple[Problem, RowRanges]] = {}
        self._kept: Counter[str | None] = Counter()
        self._beyond = 0

    def add(self, problems: Iterable[Problem]) -> None:
        """Add problems; rows must come in the list's order."""
        for problem in problems:
            self.count += 1
            of_the_line = problem.row is not None and problem.row_line is None
            place = (problem.file, None if of_the_line else problem.line, problem.column, problem.path)
            fault = (*place, problem.severity, problem.rule, problem.same or problem.message)
            if fault not in self._faults:
                if self._kept[problem.file] >= MOST_SHOWN:
                    self._beyond += 1
                    continue
                self._kept[problem.file] += 1
                self._faults[fault] = problem, RowRanges()
            if problem.row is not None:
                self._faults[fault][1].add(problem.row)

    def add_unseen(self, count: int) -> None:
        """Count problems that are not shown."""
        self.count += count
        self._beyond += count

    @property
    def shown(self) -> list[Problem]:
        """The problems, sorted by file and line."""
        files = list(self._kept)
        found = [_with_rows(problem, rows) for problem, rows in self._faults.values()]
        return sorted(found, key=lambda p: (files.index(p.file), p.line or 0, p.column or 0))

    @property
    def beyond(self) -> int:
        """How many problems are not in `shown`."""
        return self._beyond


def _with_rows(problem: Problem, ranges: RowRanges) -> Problem:
    if not ranges.count:
        return problem
    rows = ranges.rows
    if rows.count == 1:
        return replace(problem, rows=rows)
    where = f"row {problem.row}; similarly in {rows.behind_first}" if problem.same else str(rows)
    return replace(problem, message=f"{problem.message} ({where})", row_line=None, rows=rows)


@dataclass(slots=True)
class Blank:
    """The rows in which a column is blank; the first of them is at `line`."""

    ranges: RowRanges = field(default_factory=RowRanges)
    line: int = 0

    @property
    def rows(self) -> Rows:
        """The rows."""
        return self.ranges.rows

    def see(self, row: Recipient) -> None:
        """Add a row."""
        self.ranges.add(row.number)
        self.line = self.line or row.line


@dataclass(slots=True)
class Survey:
    """Statistics of the list and its messages; sizes in octets.

    `doubles` are rows that are left out because an earlier row has their key; `duplicates` are the
    warnings about those that would get the same message. `addresses` counts envelope addresses: cc and bcc
    are mails too. `blank` has the columns that a template prints, `no_file` those that name an attachment,
    by column and the attachment's number. `first` is the first message.
    """

    rows: int = 0
    messages: int = 0
    addresses: int = 0
    largest: int = 0
    smtputf8: int = 0
    bad: Tally = field(default_factory=Tally)
    duplicates: Tally = field(default_factory=Tally)
    doubles: int = 0
    blank: dict[str, Blank] = field(default_factory=dict)
    no_file: dict[tuple[int, str], Blank] = field(default_factory=dict)
    first: Message | None = None
    first_recipient: Recipient | None = None

    def see(self, recipient: Recipient, looked: Looked) -> None:
        """Add a row's message."""
        self.messages += 1
        self.addresses += looked.addresses
        self.largest = max(self.largest, looked.size)
        self.smtputf8 += looked.smtputf8
        self.first_recipient = self.first_recipient or recipient


@dataclass(frozen=True, slots=True)
class Preparation:
    """A list that was read and rendered. `enrolment` is staged, but not applied."""

    campaign: CampaignFile
    recipients: Recipients
    renderer: Renderer
    enrolment: Enrolment
    plan: Plan
    survey: Survey

    @property
    def errors(self) -> list[Problem]:
        """Return the problems of rows: the first 50 faults of each file, and a line about the others."""
        return _with_the_rest(self.survey.bad, self.recipients)


class Examiner(Protocol):
    """Looks at the list, and at the first `most` messages or all: the rules of `checks`."""

    @property
    def most(self) -> int | None:
        """How many messages to look at; None for all."""

    def looking(self, recipients: Recipients) -> Looking:
        """Return an object that looks at messages in the processes that make them; the list is open."""

    def begin(self, recipients: Recipients, renderer: Renderer, survey: Survey) -> None:
        """Start; the templates are compiled. `survey` is filled as rows are read."""

    def see(self, recipient: Recipient, found: Plain) -> None:
        """Add a row, in the list's order, with what `looking` found in its message."""

    def pass_over(self, recipient: Recipient, found: Plain) -> None:
        """Take a bad row whose message was looked at: findings in later rows may refer to it."""


Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many items are done, and how many there are."""


def compile_campaign(campaign: CampaignFile, secrets: Secrets) -> tuple[Recipients, Renderer]:
    """Open the list and compile the templates. Raises UserError with the problems of both."""
    recipients, renderer, problems = _compiled(campaign, secrets, 1, None)
    if renderer is None or problems:
        raise UserError(*problems)
    return recipients, renderer


def _compiled(
    campaign: CampaignFile, secrets: Secrets, jobs: int, examiner: Examiner | None
) -> tuple[Recipients, Renderer | None, list[Problem]]:
    """Return the list, the renderer if the templates can be compiled, and the problems of both."""
    problems: list[Problem] = []
    try:
        recipients = Recipients(campaign, problems)
    except UserError as error:
        raise UserError(*error.problems, *wrong_in_templates(campaign, (), secrets)) from None
    renderer = None
    try:
        looking = examiner.looking(recipients) if examiner is not None else None
        renderer = Renderer(campaign, recipients.columns, secrets, jobs, looking)
        problems += recipients.repeated_in(renderer.columns)
    except UserError as error:
        problems += error.problems
    return recipients, renderer, list(_columns_once(problems, recipients))


def _columns_once(problems: Iterable[Problem], recipients: Recipients) -> Iterator[Problem]:
    """Yield the problems; only the first one that lists the columns keeps that list."""
    listing = f"; {Names(recipients.columns).listing()}"
    listed = False
    for problem in problems:
        yield replace(problem, message=problem.message.removesuffix(listing)) if listed else problem
        listed = listed or problem.message.endswith(listing)


def _with_the_rest(bad: Tally, recipients: Recipients) -> list[Problem]:
    rest = [Problem(f"and {counted(bad.beyond, 'more bad row')}", recipients.file)] if bad.beyond else []
    return list(_columns_once([*bad.shown, *rest], recipients))


def wrong_in_list(campaign: CampaignFile, progress: Progress) -> list[Problem]:
    """Return the problems of a campaign's list and rows, without those of its templates."""
    problems: list[Problem] = []
    recipients = Recipients(campaign, problems)
    return [*_columns_once(problems, recipients), *_bad_rows(recipients, progress)]


def wrong_before_rendering(campaign: CampaignFile, secrets: Secrets, progress: Progress) -> list[Problem]:
    """Return the problems of a campaign's list, rows and templates that show without rendering."""
    recipients, _, problems = _compiled(campaign, secrets, 1, None)
    return [*problems, *_bad_rows(recipients, progress)]


def _bad_rows(recipients: Recipients, progress: Progress) -> list[Problem]:
    """Return the problems of the rows, if the templates cannot be rendered."""
    bad = Tally()
    for count, row in enumerate(recipients if recipients.is_readable else recipients.misshapen()):
        if count % 500 == 0:
            progress("reading", recipients.position, recipients.size)
        if isinstance(row, BadRow):
            bad.add(row.problems)
    return _with_the_rest(bad, recipients)


def prepare(
    campaign: CampaignFile,
    enrolment: Enrolment,
    secrets: Secrets,
    progress: Progress = lambda doing, done, of: None,
    examiner: Examiner | None = None,
    jobs: int | None = None,
    kept: DraftStore | None = None,
) -> Preparation:
    """Read the whole list and render every row that would be sent; `examiner` sees each message.

    At most `jobs` processes render, by default one for each core. `kept` stores the drafts.

    Raises UserError if that is impossible; bad rows are in the result.
    """
    recipients, renderer, problems = _compiled(campaign, secrets, jobs or cores(), examiner)
    if renderer is None or problems:
        raise UserError(*problems, *_bad_rows(recipients, progress))
    survey = Survey()
    if examiner is not None:
        examiner.begin(recipients, renderer, survey)
    # The address is compared in folded form, whether or not a template shows it.
    shown = (renderer.columns | recipients.name_columns) - {recipients.settings.email}
    enrolment.stage(recipients.columns, _surveyed(recipients, renderer, survey, progress), shown)
    _sort_doubles(enrolment.drop_duplicates(), recipients, renderer, shown, survey)
    enrolment.recognise()
    total = survey.rows
    bad: list[tuple[int, str]] = []
    most = examiner.most if examiner is not None else 0
    for done, (recipient, looked) in enumerate(renderer.look(enrolment.to_send(), most, kept)):
        if done % 100 == 0:
            progress("rendering", done, total)
        if isinstance(looked, Overrun):  # no other row would fare better
            raise Overrun(*_with_the_rest(survey.bad, recipients), *looked.problems)
        if isinstance(looked, UserError):
            survey.bad.add(looked.problems)
            bad.append((recipient.number, "; ".join(problem.message for problem in looked.problems)))
            if examiner is not None and isinstance(looked, Refused):
                examiner.pass_over(recipient, looked.found)
        else:
            survey.see(recipient, looked)
            if examiner is not None:
                examiner.see(recipient, looked.found)
        if len(bad) == _BATCH:
            enrolment.mark_bad(bad)
            bad.clear()
    enrolment.mark_bad(bad)
    if survey.first_recipient is not None:
        survey.first = renderer.render(survey.first_recipient, date=datetime.now(UTC))
        survey.largest += renderer.signature_of(survey.first)
    progress("rendering", total, total)
    return Preparation(campaign, recipients, renderer, enrolment, enrolment.plan(), survey)


def _surveyed(
    recipients: Recipients, renderer: Renderer, survey: Survey, progress: Progress
) -> Iterator[Recipient | BadRow]:
    """Yield the rows, and add each to the survey."""
    shown = [column for column in recipients.columns if column in renderer.shown]
    files = [(number, column) for number, columns in renderer.files_named_by.items() for column in columns]
    for row in recipients:
        survey.rows += 1
        if survey.rows % 500 == 0:
            progress("reading", recipients.position, recipients.size)
        if isinstance(row, BadRow):
            survey.bad.add(row.problems)
        else:
            for column in shown:
                if not row.row[column].strip():
                    survey.blank.setdefault(column, Blank()).see(row)
            for number, column in files:
                if not row.row[column].strip():
                    survey.no_file.setdefault((number, column), Blank()).see(row)
        yield row
    progress("reading", recipients.size, recipients.size)


def _sort_doubles(
    doubles: Iterable[Double],
    recipients: Recipients,
    renderer: Renderer,
    shown: Collection[str],
    survey: Survey,
) -> None:
    """Add doubles to the survey's duplicates; those that would get another message to its bad rows."""
    differ: list[Double] = []
    more = 0
    for double in doubles:
        survey.doubles += 1
        if not double.differs:
            survey.duplicates.add([left_out(double, recipients.file)])
        elif len(differ) < MOST_SHOWN:
            differ.append(double)
        else:
            more += 1
    if differ:
        attached = frozenset().union(*renderer.files_named_by.values())
        survey.bad.add(differing(recipients, differ, shown, attached))
        survey.bad.add_unseen(more)
