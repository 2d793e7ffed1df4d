"""A Postfix or Exim log → the messages that the server took, for settling what a ledger does not know.

Postfix names the Message-ID before it has taken a message, under a queue id, and that queue id again
once it has: `cleanup[1]: 4ABC: message-id=<…>`, then `qmgr[2]: 4ABC: from=<…>, … (queue active)` and
`smtp[3]: 4ABC: to=<…>, …, status=sent (…)`. Exim writes one line when it has: `1abcde-000123-AB <= … id=…`,
and one for each recipient. What became of it later is another matter: a bounce is no reason to send again.
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
# With a year, in whatever zone; or as syslog has it by tradition, without one.
_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?")
_SYSLOG = re.compile(r"([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d:\d\d:\d\d)")


@dataclass(slots=True)
class Delivery:
    """A message that the server took: envelope, and Message-ID in angle brackets, "" where not known.

    `at` is when it was first spoken of, in local time, None where the line does not say.
    """

    queue: str
    at: datetime | None
    message_id: str = ""
    sender: str = ""
    recipients: list[str] = field(default_factory=list)
    taken: bool = False


def delivered(lines: Iterable[str], of: re.Pattern[str] = _ANY) -> dict[str, set[str]]:
    """Return the Message-IDs, in angle brackets, of the messages that the server took, and for whom, folded.

    Those that `of` does not match are left out: most of a server's mail is not ours. A copy that is sent
    later has the Message-ID of its row.
    """
    found: dict[str, set[str]] = {}
    for delivery in deliveries(lines):
        if delivery.message_id and of.match(delivery.message_id):
            found.setdefault(delivery.message_id, set()).update(map(fold, delivery.recipients))
    return found


def deliveries(lines: Iterable[str], now: datetime | None = None) -> Iterator[Delivery]:
    """Yield the messages that the server took, when the log has no more to say of them.

    `now`, in local time, is later than all lines: a date without a year is its last one before that.
    """
    now = now or datetime.now()
    known: dict[str, Delivery] = {}  # by queue id, which Postfix uses again
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
    # Last year's, where this year's is to come yet.
    for year in (now.year, now.year - 1):
        try:
            at = datetime.strptime(f"{year} {month} {day} {clock}", "%Y %b %d %H:%M:%S")
        except ValueError:  # 29 February
            continue
        if at <= now + timedelta(days=1):
            return at
    return None
