"""Refuses a ledger that may not know everybody who was mailed before: they would be mailed again.

If a ledger is lost, a new one would be created, and it would know nobody. A ledger that was restored, or
moved without its WAL, knows too little.
"""

from __future__ import annotations

from campaign.campaignfile.location import shown_location
from campaign.campaignfile.models import CampaignFile
from campaign.errors import Problem, UserError
from campaign.ledger import Ledger
from campaign.wording import shown


def would_be_new(campaign: CampaignFile) -> bool:
    """Whether the campaign's ledger knows nobody or does not exist. Raises UserError if unreadable."""
    if not Ledger.exists(campaign.ledger):
        return True
    ledger = Ledger.open(campaign.ledger, campaign.name, create=False, read_only=True)
    try:
        return ledger.is_empty
    finally:
        ledger.close()


def refuse_new(campaign: CampaignFile, *, may_be_new: bool) -> None:
    """Raise UserError if a ledger would be created that nobody agreed to."""
    if not may_be_new and not Ledger.exists(campaign.ledger):
        raise _new(campaign)


def refuse_incomplete(campaign: CampaignFile, ledger: Ledger, *, may_be_new: bool) -> None:
    """Raise UserError for a ledger that lacks sent messages, or a new one that nobody agreed to."""
    if ledger.incomplete:
        resolve = f"campaign resolve {shown(campaign.file)}"
        what = (
            f"messages may be missing in this ledger: {ledger.incomplete}. Put the whole ledger back; or let"
            f" the mail server's log say what was sent: {resolve} --from-log MAIL.LOG; or, if nothing was"
            f" sent since: {resolve} --nothing-missing"
        )
        raise UserError(ledger.problem(what))
    if not may_be_new and ledger.is_empty:
        raise _new(campaign)


def _new(campaign: CampaignFile) -> UserError:
    what = (
        "this would be a new ledger: it knows nobody, and everybody on the list would be mailed. If nobody"
        " has had this campaign yet, add --new-ledger; otherwise put the ledger back where it was"
    )
    return UserError(Problem(what, shown_location(campaign.ledger)))
