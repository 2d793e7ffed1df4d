"""Finds what differs from the earlier runs of a campaign and must be accepted before sending.

campaign file, ledger, prepared list → kinds of change, each with a sentence for a person
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path

from campaign.campaignfile.identity import identify
from campaign.campaignfile.models import CampaignFile
from campaign.errors import UserError
from campaign.ledger import Ledger
from campaign.ledger.protocols import Plan
from campaign.model import KeyColumn
from campaign.preparation import Preparation
from campaign.sending.preflight.reception import judged
from campaign.wording import counted, shown


class Change(StrEnum):
    """A kind of change, as `--accept` names it."""

    CONTENT = "content"  # what messages say
    KEYS = "keys"  # what tells rows apart: people who have had the message may be new rows
    NAME = "name"  # the campaign's name, in the same file
    LIST = "list"  # most of the list is gone
    COPY = "copy"  # the ledger is a copy of another that is still there
    BOUNCES = "bounces"  # many complaints about earlier mail, or many dead addresses


def changes(campaign: CampaignFile, ledger: Ledger, preparation: Preparation) -> Iterator[tuple[Change, str]]:
    """Yield what differs from earlier runs."""
    plan = preparation.plan
    if plan.to_send + plan.copies and ledger.digest not in (None, preparation.renderer.digest):
        words = (
            "the content has changed since some people received it; the others will get something different"
        )
        yield Change.CONTENT, words
    original = copied_from(campaign, ledger)
    if original is not None:
        words = f"this ledger is a copy: {shown(original)} has this campaign too, with a ledger of its own"
        yield Change.COPY, f"{words}; people mailed from there since will be mailed again from here"
    key = key_of(campaign)
    if words := _by_another_key(ledger.other_key(key), key, plan):
        yield Change.KEYS, words
    other = ledger.other_name
    if other is not None and plan.new:
        name, count = other
        had = f"{counted(count, 'row')} had this campaign when it was named {name!r}"
        yield Change.NAME, f"{had}; another name is another campaign, and mails everybody again"
    if plan.rows_before is not None and 2 * plan.rows < plan.rows_before:
        yield Change.LIST, f"the list has {counted(plan.rows, 'row')}, and had {plan.rows_before:,} last time"
    if plan.to_send + plan.copies:
        yield from ((Change.BOUNCES, one.words) for one in judged(ledger.returns().shares()) if one.asks)


def copied_from(campaign: CampaignFile, ledger: Ledger) -> Path | None:
    """Return the campaign file that still has the original of this ledger, if this one is a copy."""
    known = ledger.known_file
    if known is None or not known.is_file() or known.samefile(campaign.file):
        return None
    try:
        there = identify(known).ledger
    except UserError:
        return None
    return known if isinstance(there, Path) and ledger.shares_its_secret_with(there) else None


def key_of(campaign: CampaignFile) -> tuple[KeyColumn, ...]:
    """Return the columns of the key, which tell rows apart."""
    settings = campaign.recipients
    return tuple(KeyColumn(column, column == settings.email) for column in settings.key)


def _by_another_key(before: Sequence[KeyColumn] | None, now: Sequence[KeyColumn], plan: Plan) -> str:
    """Return a sentence about new rows that may be people who have had the message, "" for none.

    `before` is the key of the rows that have had it, None if it is the same.
    """
    again = plan.rekeyed + (plan.further if before is not None else 0)
    go = counted(again, "of the new rows goes", "of the new rows go")
    repeated = f"{go} to addresses that have had this campaign under another key" if again else ""
    if before is None or not (again or (plan.new and plan.gone)):
        return repeated
    was, is_now = " and ".join(map(str, before)), " and ".join(map(str, now))
    gone = counted(plan.gone, "row of theirs is", "rows of theirs are")
    unknown = f"by that, {gone} not on the list, and {counted(plan.new, 'is', 'are')} new"
    return f"rows were told apart by {was} when some were mailed, and now by {is_now}; {repeated or unknown}"
