"""The exit code of a run; README has the table."""

from __future__ import annotations

from campaign.ledger import Summary
from campaign.model import Status
from campaign.sending.dispatch import Ending, Stop

OK, REFUSED, IN_DOUBT, UNFINISHED, DISCONNECTED, INTERRUPTED = 0, 3, 4, 5, 6, 130


def exit_code(summary: Summary, stop: Stop) -> int:
    """Return what the campaign came to: 6 alone, else 130 over 4 over 5 over 3 over 0."""
    counts = summary.counts
    if stop.ending is Ending.DISCONNECTED:
        return DISCONNECTED
    if stop.ending is Ending.INTERRUPTED:
        return INTERRUPTED
    if counts[Status.IN_DOUBT]:
        return IN_DOUBT
    if summary.waiting or stop.ending is Ending.PAUSED:
        return UNFINISHED
    return REFUSED if counts[Status.REFUSED] else OK
