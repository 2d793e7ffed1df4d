"""Prepare a send: read the list, compile the templates, and render every row before the first message leaves.

    Recipients → Enrolment (staged) → duplicates, suppressions → Renderer on each row to be sent → Plan

What is found out on the way is in `survey`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from campaign.campaignfile.models import CampaignFile
from campaign.errors import Overrun, Problem, UserError
from campaign.ledger.protocols import Enrolment, Plan
from campaign.message.drafts import Refused
from campaign.message.draftstore import DraftStore
from campaign.message.render import Renderer, wrong_in_templates
from campaign.message.request import Looking
from campaign.message.tokens import Secrets
from campaign.model import BadRow, Double, Recipient
from campaign.recipients.doubles import differing, left_out
from campaign.recipients.list import Recipients
from campaign.survey import MOST_SHOWN, Blank, Survey, Tally
from campaign.templating.names import Names
from campaign.templating.processes.frames import Plain
from campaign.templating.processes.pool import cores
from campaign.wording import counted

_BATCH = 1000  # bad rows, and addresses of copies, that the ledger gets together


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
    copies = _Copies(enrolment, survey)
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
            copies.see(looked.copies)
            if examiner is not None:
                examiner.see(recipient, looked.found)
        if len(bad) == _BATCH:
            enrolment.mark_bad(bad)
            bad.clear()
    enrolment.mark_bad(bad)
    copies.leave_out_suppressed()
    if survey.first_recipient is not None:
        survey.first = renderer.render(survey.first_recipient, date=datetime.now(UTC))
        survey.largest += renderer.signature_of(survey.first)
    progress("rendering", total, total)
    return Preparation(campaign, recipients, renderer, enrolment, enrolment.plan(), survey)


class _Copies:
    """Takes the copies to suppressed addresses out of the survey: a send leaves them out, too."""

    def __init__(self, enrolment: Enrolment, survey: Survey) -> None:
        self._enrolment = enrolment
        self._survey = survey
        self._counts: Counter[str] = Counter()

    def see(self, addresses: Collection[str]) -> None:
        """Add a message's copies, which the survey has counted."""
        self._counts.update(addresses)
        if len(self._counts) >= _BATCH:
            self.leave_out_suppressed()

    def leave_out_suppressed(self) -> None:
        """Look the addresses up that were added since the last call."""
        if not self._counts:
            return
        suppressed = sum(self._counts[address] for address in self._enrolment.suppressed(self._counts))
        self._survey.suppressed_copies += suppressed
        self._survey.addresses -= suppressed
        self._counts.clear()


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
