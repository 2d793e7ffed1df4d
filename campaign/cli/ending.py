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
        counts = dict.fromkeys(Status, 0)
        for result in finished.results:
            counts[result.status] += 1
        waiting = counts[Status.PENDING] + counts[Status.DEFERRED]
    else:
        counts, waiting = dict(summary.counts), summary.waiting
    if counts[Status.IN_DOUBT]:
        return DOUBT
    if waiting or ending is Ending.PAUSED:
        return UNFINISHED
    return REFUSED if counts[Status.REFUSED] else OK
