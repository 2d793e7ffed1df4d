"""Choose the rows to preview: the first, one by number or address, all, or a few that differ.

    choose(campaign, recipients, choice, bad, progress) -> Chosen rows

Only rows that would be sent are shown. It is an error to choose a row that is bad, that `where` leaves out,
or that has the key of an earlier row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass

from campaign.address import AddressError, fold, parse_address
from campaign.campaignfile.models import CampaignFile
from campaign.errors import Problem, UserError
from campaign.ledger import Ledger
from campaign.model import BadRow, Recipient
from campaign.preparation import Progress
from campaign.preview.variety import Chosen, varied
from campaign.recipients.doubles import left_out
from campaign.recipients.list import Recipients
from campaign.survey import Tally
from campaign.wording import counted

ON_A_PAGE = 8
"""Rows on a page if the user chose none."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The user's choice: at most one of a row's number, an address, and a count of rows that differ.

    If none is given, it is all rows with `every`, and the first one without.
    """

    row: int | None = None
    address: str | None = None
    pick: int | None = None
    every: bool = False

    @property
    def is_open(self) -> bool:
        """Whether the user chose no rows."""
        return self.row is None and self.address is None and self.pick is None


def choose(
    campaign: CampaignFile, recipients: Recipients, choice: Choice, bad: Tally, progress: Progress
) -> Iterable[Chosen]:
    """Return the chosen rows; the problems of other rows that are read are added to `bad`.

    Raises UserError if the list does not have the chosen rows, or they would not be sent.
    """
    if choice.row is not None:
        return [Chosen(numbered(campaign, recipients, choice.row))]
    if choice.address is not None:
        return map(Chosen, addressed(campaign, recipients, choice.address))
    if choice.pick is not None:
        # Problems of rows that are not picked are not shown here: `check` does that.
        return varied(_each_key_once(recipients, progress), recipients.columns, choice.pick)
    if choice.every:
        return map(Chosen, everybody(recipients, bad, progress))
    return [Chosen(first(recipients, bad))]


def first(recipients: Recipients, bad: Tally) -> Recipient:
    """Return the first row that can be mailed; the problems of earlier rows are added to `bad`."""
    for row in recipients:
        if isinstance(row, Recipient):
            return row
        bad.add(row.problems)
    raise UserError(*bad.shown, Problem("the list has no row to preview", recipients.file))


def numbered(campaign: CampaignFile, recipients: Recipients, number: int) -> Recipient:
    """Return the Nth data record.

    Raises UserError if the row is bad, is left out, has the key of an earlier row, or does not exist.
    """
    for row in recipients:
        if row.number > number:
            break
        if row.number == number:
            if isinstance(row, BadRow):
                raise UserError(*row.problems)
            _refuse_doubles(recipients, {row.key: row})
            return row
    last = 0
    for row in _unfiltered(campaign):
        last = row.number
        if last == number:
            raise UserError(_left_out(campaign, recipients, number, row.line))
    raise UserError(Problem(f"there is no row {number}; the list has {last:,}", recipients.file))


def addressed(campaign: CampaignFile, recipients: Recipients, address: str) -> list[Recipient]:
    """Return the rows with an address: one, unless the key is another column.

    Raises UserError if there are none, or if none of them is sent.
    """
    try:
        wanted = fold(parse_address(address))
    except AddressError as error:
        raise UserError(f"--to: {error}") from None
    found: dict[str, Recipient] = {}
    bad = 0
    for row in recipients:
        if isinstance(row, BadRow):
            bad += 1
        elif fold(row.email) == wanted:
            found.setdefault(row.key, row)
    if found:
        return _refuse_doubles(recipients, found)
    for row in _unfiltered(campaign):
        if isinstance(row, Recipient) and fold(row.email) == wanted:
            raise UserError(_left_out(campaign, recipients, row.number, row.line))
    unread = f"; {counted(bad, 'bad row')} could not be read: see campaign check"
    unread = unread if bad else ""
    raise UserError(Problem(f"no row has the address {address!r}{unread}", recipients.file))


def everybody(recipients: Recipients, bad: Tally, progress: Progress) -> Iterator[Recipient]:
    """Yield the rows that would be sent, in the list's order, each key once.

    The problems of the others are added to `bad`. Memory stays flat: the list is staged in a temporary file.
    """
    with closing(Ledger.temporary("preview")) as ledger:
        enrolment = ledger.enrolment()
        enrolment.stage(recipients.columns, _read(recipients, bad, progress))
        bad.add(left_out(double, recipients.file) for double in enrolment.drop_duplicates())
        yield from enrolment.to_send()


def _each_key_once(recipients: Recipients, progress: Progress) -> Iterator[Recipient]:
    """Yield rows, each key once; the keys so far are kept in memory."""
    keys: set[str] = set()
    for row in _read(recipients, Tally(), progress):
        if isinstance(row, Recipient) and row.key not in keys:
            keys.add(row.key)
            yield row


def _read(recipients: Recipients, bad: Tally, progress: Progress) -> Iterator[Recipient | BadRow]:
    for count, row in enumerate(recipients):
        if count % 500 == 0:
            progress("reading", recipients.position, recipients.size)
        if isinstance(row, BadRow):
            bad.add(row.problems)
        yield row
    progress("reading", recipients.size, recipients.size)


def _refuse_doubles(recipients: Recipients, found: dict[str, Recipient]) -> list[Recipient]:
    """Return the rows that are the first with their key. Raises UserError if no row is left."""
    last = max(row.number for row in found.values())
    problems = []
    rows = dict(found)
    for row in recipients:
        if row.number >= last:
            break
        double = rows.get(row.key) if isinstance(row, Recipient) else None
        if double is not None and row.number < double.number:
            what = f"row {double.number} is not sent: line {row.line} has the same key, {row.key!r}"
            problems.append(Problem(what, recipients.file, double.line))
            del rows[row.key]
    if not rows:
        raise UserError(*problems)
    return list(rows.values())


def _unfiltered(campaign: CampaignFile) -> Recipients:
    """Return the list without its `where`."""
    every = campaign.recipients.model_copy(update={"where": None})
    return Recipients(campaign.model_copy(update={"recipients": every}))


def _left_out(campaign: CampaignFile, recipients: Recipients, number: int, line: int) -> Problem:
    what = f"row {number} is not sent: recipients.where leaves it out ({campaign.recipients.where})"
    return Problem(what, recipients.file, line)
