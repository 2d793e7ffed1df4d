"""Compute the exit code of a run; README has the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from campaign.cli.codes import DISCONNECTED, DOUBT, INTERRUPTED, OK, REFUSED, UNFINISHED
from campaign.errors import Problem
from campaign.model import Status
from campaign.sending.audience import Finished
from campaign.sending.dispatch import Ending, Stop

if TYPE_CHECKING:
    from campaign.campaignfile.models import CampaignFile
    from campaign.ledger import Summary


def exit_code(finished: Finished) -> int:
    """Return the exit code of a run or a test: 6 first, then 130, 4, 5, 3 and 0."""
    ending = finished.stop.ending
    if ending is Ending.DISCONNECTED:
        return DISCONNECTED
    if ending is Ending.INTERRUPTED:
        return INTERRUPTED
    if ending is Ending.DECLINED:
        return UNFINISHED
    paused = ending is Ending.PAUSED
    if finished.summary is not None:
        return code_of(finished.summary, unfinished=paused)
    statuses = [result.status for result in finished.results]
    if Status.IN_DOUBT in statuses:
        return DOUBT
    if paused or Status.PENDING in statuses or Status.DEFERRED in statuses:
        return UNFINISHED
    return REFUSED if Status.REFUSED in statuses else OK


def why(campaign: CampaignFile, stop: Stop) -> Problem:
    """Return why a run ended, at the campaign file's key if it can be fixed there."""
    return campaign.problem(stop.path, stop.why) if stop.path else Problem(stop.why)


def code_of(summary: Summary, *, unfinished: bool) -> int:
    """Return the exit code by a campaign's counts; skipped bad rows count as unfinished."""
    if summary.in_doubt:
        return DOUBT
    if unfinished or summary.waiting or summary.left_out:
        return UNFINISHED
    return REFUSED if summary.refused else OK
