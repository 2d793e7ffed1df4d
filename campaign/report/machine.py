"""Show the state of a campaign as JSON for programs. Times are ISO 8601, UTC."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from campaign.ledger import Summary
from campaign.model import Status
from campaign.report.words import per_minute, waiting_for

if TYPE_CHECKING:
    from campaign.ledger.attempted import Attempted
    from campaign.ledger.returns import Kind
    from campaign.sending.pace.outlook import Outlook


def iso(nanoseconds: int | None) -> str | None:
    """Return a ledger's time as `2026-05-01T12:00:00.123456+00:00`."""
    if nanoseconds is None:
        return None
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).isoformat()


def status(
    name: str, summary: Summary, outlook: Outlook | None, returned: Mapping[Kind, int], now: int
) -> dict[str, object]:
    """Return the state of a campaign, as the object that `status --json` writes.

    `outlook` is given if messages are left. `returned` counts addresses with bounces or other returned mail.
    """
    counts = {str(status): summary.counts[status] for status in Status if status in summary.counts}
    return {
        "campaign": name,
        "counts": counts,
        "copies": {str(status): count for status in Status if (count := summary.copies.get(status))},
        "came_back": {str(kind): count for kind, count in returned.items() if count},
        "first_accepted_at": iso(summary.first_accepted_at),
        "last_accepted_at": iso(summary.last_accepted_at),
        "accepted_per_minute": per_minute(summary),
        "next_due_at": iso(summary.next_due),
        "next_message_at": iso(outlook.next_at) if outlook else None,
        "ends_at": iso(outlook.ends_at) if outlook else None,
        "waiting_for": waiting_for(outlook, now) if outlook else None,
        "sending": {"pid": summary.sending[0], "host": summary.sending[1]} if summary.sending else None,
    }


def attempt_line(attempted: Attempted) -> str:
    """Return an attempt as one line of JSON: key, address, status, reply, time; copies if there are any."""
    own, *copies = attempted.answers
    line: dict[str, object] = {
        "key": attempted.key,
        "address": own.address,
        "status": own.status,
        "reply": own.reply,
        "time": iso(attempted.settled_at),
    }
    if copies:
        line["copies"] = [{"address": o.address, "status": o.status, "reply": o.reply} for o in copies]
    return json.dumps(line, ensure_ascii=False)
