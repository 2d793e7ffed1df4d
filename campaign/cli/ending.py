"""The exit code of a run; README has the table."""

from __future__ import annotations

from campaign.cli.codes import DISCONNECTED, DOUBT, INTERRUPTED, OK, REFUSED, UNFINISHED
from campaign.model import Status
from campaign.sending.dispatch import Ending
from campaign.sending.job import Finished


def exit_code(finished: Finished) -> int:
    """Return what the campaign, or a test, came to: 6 alone, else 130 over 4 over 5 over 3 over 0."""
    ending = finished.stop.ending
    if ending is Ending.DISCONNECTED:
        return DISCONNECTED
    if ending is Ending.INTERRUPTED:
        return INTERRUPTED
    if ending is Ending.DECLINED:
        return UNFINISHED
    summary = finished.summary
    if summary is None:
        statuses = [result.status for result in finished.results]
        in_doubt, refused = Status.IN_DOUBT in statuses, Status.REFUSED in statuses
        waiting = Status.PENDING in statuses or Status.DEFERRED in statuses
    else:
        in_doubt, refused, waiting = summary.in_doubt > 0, summary.refused > 0, summary.waiting > 0
    if in_doubt:
        return DOUBT
    if waiting or ending is Ending.PAUSED:
        return UNFINISHED
    return REFUSED if refused else OK
