"""Everything that must hold before the first message leaves: the list, the templates, every row.

    Recipients → Enrolment (staged) → duplicates, suppressions → Renderer on each row to be sent → Plan

What a send will do is read, validated and rendered here, whole, and shown to the
person. Memory stays flat: problems are kept up to a number and counted beyond it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from campaign.campaignfile.models import CampaignFile
from campaign.errors import Problem, UserError
from campaign.ledger import Enrolment, Plan
from campaign.message.render import Renderer
from campaign.message.tokens import Secrets
from campaign.model import BadRow, Message, Recipient
from campaign.recipients.list import Recipients
from campaign.wording import counted

MOST_SHOWN = 50
_BLANK_SUBJECT = b"\r\nSubject: \r\n"
_BATCH = 1000  # bad rows that are noted at once


@dataclass(slots=True)
class Tally:
    """The first problems of a kind, and how many there are."""

    shown: list[Problem] = field(default_factory=list)
    count: int = 0

    def add(self, problems: Iterable[Problem]) -> None:
        """Take note of problems."""
        for problem in problems:
            self.count += 1
            if len(self.shown) < MOST_SHOWN:
                self.shown.append(problem)


@dataclass(slots=True)
class Blank:
    """What is blank in some rows; the first of them stands in `line`."""

    rows: int = 0
    line: int = 0

    def see(self, line: int) -> None:
        """Take note of a row."""
        self.rows += 1
        self.line = self.line or line


@dataclass(slots=True)
class Survey:
    """What was seen of the list and its messages; sizes in octets.

    `addresses` counts envelope addresses: cc and bcc are mails too. `blank` are columns that a
    template prints, `no_file` those that name an attachment, by its number too, and `blank_subject`
    messages. `first` is the first message.
    """

    rows: int = 0
    messages: int = 0
    addresses: int = 0
    largest: int = 0
    smtputf8: int = 0
    bad: Tally = field(default_factory=Tally)
    duplicates: Tally = field(default_factory=Tally)
    blank: dict[str, Blank] = field(default_factory=dict)
    no_file: dict[tuple[int, str], Blank] = field(default_factory=dict)
    blank_subject: Blank = field(default_factory=Blank)
    first: Message | None = None
    first_recipient: Recipient | None = None


@dataclass(frozen=True, slots=True)
class Preparation:
    """A list that was read and rendered. `enrolment` is staged, and not applied."""

    campaign: CampaignFile
    recipients: Recipients
    renderer: Renderer
    enrolment: Enrolment
    plan: Plan
    survey: Survey

    @property
    def errors(self) -> list[Problem]:
        """Return what is wrong with rows, at most the first 50, and a line for the others."""
        bad = self.survey.bad
        more = bad.count - len(bad.shown)
        return [
            *bad.shown,
            *([Problem(f"and {counted(more, 'more bad row')}", self.recipients.file)] if more else []),
        ]


Progress = Callable[[str, int, int], None]
"""Called with what is being done, how far it is, and how far it goes."""


def compile_campaign(campaign: CampaignFile, secrets: Secrets) -> tuple[Recipients, Renderer]:
    """Open the list and compile the templates. Raises UserError with the problems of both."""
    problems: list[Problem] = []
    recipients = Recipients(campaign, problems)
    try:
        renderer = Renderer(campaign, recipients.columns, secrets)
    except UserError as error:
        raise UserError(*problems, *error.problems) from None
    if problems:
        raise UserError(*problems)
    return recipients, renderer


def prepare(
    campaign: CampaignFile,
    enrolment: Enrolment,
    secrets: Secrets,
    progress: Progress = lambda doing, done, of: None,
) -> Preparation:
    """Read the whole list and render every row that would be sent.

    Raises UserError for what makes that impossible; bad rows are in the result.
    """
    recipients, renderer = compile_campaign(campaign, secrets)
    survey = Survey()
    enrolment.stage(recipients.columns, _surveyed(recipients, renderer, survey, progress))
    survey.duplicates.add(enrolment.drop_duplicates(recipients.file))
    enrolment.recognise()
    total = survey.rows
    bad: list[tuple[int, str]] = []
    for done, recipient in enumerate(enrolment.to_send()):
        if done % 100 == 0:
            progress("rendering", done, total)
        problems = _render(renderer, recipient, survey)
        if problems:
            survey.bad.add(problems)
            bad.append((recipient.number, "; ".join(problem.message for problem in problems)))
        if len(bad) == _BATCH:
            enrolment.mark_bad(bad)
            bad.clear()
    enrolment.mark_bad(bad)
    progress("rendering", total, total)
    return Preparation(campaign, recipients, renderer, enrolment, enrolment.plan(), survey)


def _surveyed(
    recipients: Recipients, renderer: Renderer, survey: Survey, progress: Progress
) -> Iterator[Recipient | BadRow]:
    """Pass the rows on, with a look at each."""
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
                    survey.blank.setdefault(column, Blank()).see(row.line)
            for number, column in files:
                if not row.row[column].strip():
                    survey.no_file.setdefault((number, column), Blank()).see(row.line)
        yield row
    progress("reading", recipients.size, recipients.size)


def _render(renderer: Renderer, recipient: Recipient, survey: Survey) -> list[Problem]:
    try:
        message = renderer.render(recipient, date=datetime.now(UTC))
    except UserError as error:
        return list(error.problems)
    survey.messages += 1
    survey.addresses += len(message.envelope.recipients)
    survey.largest = max(survey.largest, message.size)
    survey.smtputf8 += message.envelope.smtputf8
    # The header is in the first chunk, or behind a signature in the second.
    if _BLANK_SUBJECT in b"".join(message.chunks[:2]).partition(b"\r\n\r\n")[0]:
        survey.blank_subject.see(recipient.line)
    if survey.first is None:
        survey.first, survey.first_recipient = message, recipient
    return []
