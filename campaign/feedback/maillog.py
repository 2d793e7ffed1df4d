"""Read a Postfix or Exim log: the messages that the server accepted, to settle what is in doubt.

Postfix logs the Message-ID with a queue id before it has accepted a message, and the queue id again when it
has: `cleanup[1]: 4ABC: message-id=<…>`, then `qmgr[2]: 4ABC: from=<…>, … (queue active)` and
`smtp[3]: 4ABC: to=<…>, …, status=sent (…)`. Exim writes one line when it has accepted a message,
`1abcde-000123-AB <= … id=…`, and one for each recipient. Later bounces are ignored: they are no reason to
send again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from campaign.address import fold

_POSTFIX_NAMED = re.compile(r"\]: (?P<queue>[0-9A-Za-z]{6,20}): (?:resent-)?message-id=(?P<id><[^<>\s]+>)")
_POSTFIX_TAKEN = re.compile(
    r"\]: (?P<queue>[0-9A-Za-z]{6,20}):"
    r" (?:from=<(?P<sender>[^>]*)>, .*\(queue active\)|to=<(?P<to>[^>]*)>,"
    r"(?: orig_to=<(?P<orig>[^>]*)>,)? .*\bstatus=)"
)
_EXIM_TAKEN = re.compile(r"\b(?P<queue>\w{6}-\w{6,11}-\w{2,4}) <= (?P<sender>\S+) .*? id=(?P<id>[^\s<>]+)")
_EXIM_TO = re.compile(r"\b(?P<queue>\w{6}-\w{6,11}-\w{2,4}) (?:[-=*>]{2}) (?P<to>\S+?@\S+?):?\s")
_DONE = re.compile(
    r"(?:\]: (?P<postfix>[0-9A-Za-z]{6,20}): removed|(?P<exim>\w{6}-\w{6,11}-\w{2,4}) Completed)$"
)
_ANY = re.compile("")
# A date with a year, in any time zone; or in the traditional syslog form, without one.
_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?")
_SYSLOG = re.compile(r"([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d:\d\d:\d\d)")


@dataclass(slots=True)
class Delivery:
    """A message that the server accepted: envelope, and Message-ID in angle brackets, or "".

    `at` is the time of its first line in the log, in local time, or None.
    """

    queue: str
    at: datetime | None
    message_id: str = ""
    sender: str = ""
    recipients: list[str] = field(default_factory=list)
    taken: bool = False


def delivered(lines: Iterable[str], of: re.Pattern[str] = _ANY) -> dict[str, set[str]]:
    """Return the Message-IDs, in angle brackets, of accepted messages, with their folded recipients.

    Message-IDs that `of` does not match are left out, since most of a server's mail is not ours. A copy that
    is sent later has the Message-ID of its row.
    """
    found: dict[str, set[str]] = {}
    for delivery in deliveries(lines):
        if delivery.message_id and of.match(delivery.message_id):
            found.setdefault(delivery.message_id, set()).update(map(fold, delivery.recipients))
    return found


def deliveries(lines: Iterable[str], now: datetime | None = None) -> Iterator[Delivery]:
    """Yield each message that the server accepted, after its last line in the log.

    `now`, in local time, is later than all lines: a date without a year is the last one before it.
    """
    now = now or datetime.now()
    known: dict[str, Delivery] = {}  # by queue id, which Postfix reuses
    for line in lines:
        if (match := _POSTFIX_NAMED.search(line)) is not None:
            before = known.pop(match["queue"], None)
            if before is not None and before.taken:
                yield before
            known[match["queue"]] = Delivery(match["queue"], _time(line, now), match["id"])
        elif (match := _EXIM_TAKEN.search(line)) is not None:
            sender = "" if match["sender"] == "<>" else match["sender"]
            exim = Delivery(match["queue"], _time(line, now), f"<{match['id']}>", sender, taken=True)
            known[match["queue"]] = exim
        elif (match := _POSTFIX_TAKEN.search(line)) is not None and match["queue"] in known:
            delivery = known[match["queue"]]
            delivery.taken = True
            delivery.sender = match["sender"] or delivery.sender
            delivery.recipients += [address for address in (match["to"], match["orig"]) if address]
        elif (match := _EXIM_TO.search(line)) is not None and match["queue"] in known:
            known[match["queue"]].recipients.append(match["to"])
        elif (match := _DONE.search(line.rstrip())) is not None:
            done = known.pop(match["postfix"] or match["exim"], None)
            if done is not None and done.taken:
                yield done
    yield from (delivery for delivery in known.values() if delivery.taken)


def _time(line: str, now: datetime) -> datetime | None:
    if (iso := _ISO.match(line)) is not None:
        at = datetime.fromisoformat(iso[0])
        return at.astimezone().replace(tzinfo=None) if at.tzinfo else at
    if (syslog := _SYSLOG.match(line)) is None:
        return None
    month, day, clock = syslog.groups()
    # If this year's date is still to come, it is last year's.
    for year in (now.year, now.year - 1):
        try:
            at = datetime.strptime(f"{year} {month} {day} {clock}", "%Y %b %d %H:%M:%S")
        except ValueError:  # 29 February
            continue
        if at <= now + timedelta(days=1):
            return at
    return None
