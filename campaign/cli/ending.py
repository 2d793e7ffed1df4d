"""The exit code of a run; README has the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from campaign.cli.codes import DISCONNECTED, DOUBT, INTERRUPTED, OK, REFUSED, UNFINISHED
from campaign.errors import Problem
from campaign.model import Status
from campaign.sending.dispatch import Ending, Stop
from campaign.sending.job import Finished

if TYPE_CHECKING:
    from campaign.campaignfile.models import CampaignFile
    from campaign.ledger import Summary


def exit_code(finished: Finished) -> int:
    """Return what the campaign, or a test, came to: 6 alone, else 130 over 4 over 5 over 3 over 0."""
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
    """Return why a run ended, at the campaign file's key where that is to be mended there."""
    return campaign.problem(stop.path, stop.why) if stop.path else Problem(stop.why)


def code_of(summary: Summary, *, unfinished: bool) -> int:
    """Return what a campaign came to by its counts; bad rows that were skipped are left to do."""
    if summary.in_doubt:
        return DOUBT
    if unfinished or summary.waiting or summary.left_out:
        return UNFINISHED
    return REFUSED if summary.refused else OK
