"""Explain statuses and replies, and format speeds, durations and times for display."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from campaign.model import SECOND, Status, Window

if TYPE_CHECKING:
    from campaign.ledger import Summary
    from campaign.sending.pace.outlook import Outlook

MEANING = {
    Status.PENDING: "waiting to be sent",
    Status.IN_FLIGHT: "on its way now",
    Status.ACCEPTED: "the server accepted it",
    Status.REFUSED: "the server refused it",
    Status.DEFERRED: "the server asked to try again later",
    Status.IN_DOUBT: "sent, but no reply was received: it may have arrived",
    Status.SUPPRESSED: "on the suppression list: gets nothing",
    Status.WITHDRAWN: "no longer on the list, and never accepted",
    Status.INVALID: "a bad row, skipped",
}

# RFC 3463 and IANA's registry of enhanced status codes, in plain words.
_CODES = {
    "1.1": "no such mailbox",
    "1.2": "no such domain",
    "1.3": "the address is malformed",
    "1.6": "the mailbox has moved without leaving an address",
    "1.7": "the server does not like the sender's address",
    "1.8": "the sender's domain has no mail server",
    "1.10": "the domain accepts no mail",
    "2.1": "the mailbox is disabled, or busy",
    "2.2": "the mailbox is full",
    "2.3": "the message is too large for this mailbox",
    "3.4": "the message is too large for this server",
    "4.5": "a sending quota is used up",
    "5.3": "too many recipients",
    "7.0": "a policy of the receiver",
    "7.1": "a policy of the receiver: SPF, DKIM, content, or the sender's reputation",
    "7.23": "SPF does not permit this server",
    "7.25": "the server's address has no matching name (reverse DNS)",
    "7.26": "neither SPF nor DKIM passes",
}
NO_ADDRESS = "forgotten, or no address"
"""The label of rows without a domain."""

_MOMENT = 2 * SECOND  # shorter waits are not shown
_ENHANCED = r"\b([245])\.(\d{1,3}\.\d{1,3})\b"
_EXTENSIONS = "SMTPUTF8|8BITMIME"  # names that look like ids


def explain(reply: str) -> str:
    """Return the meaning of a reply's enhanced status code, or ""."""
    found = re.search(_ENHANCED, reply)
    if found is None:
        return ""
    if found[1] == "4" and found[2].startswith("7."):
        return "a limit or greylisting of the receiver"
    return _CODES.get(found[2], "")


def grouped(reply: str) -> str:
    """Return a reply without the parts that differ between recipients: addresses, ids, numbers."""
    reply = re.sub(r"<[^<>\s]*@[^<>\s]*>|\S+@\S+", "<…>", reply)
    reply = re.sub(rf"\b(?!(?:{_EXTENSIONS})\b)(?=\w*\d)(?=\w*[A-Za-z])[\w-]{{8,}}\b", "…", reply)
    return re.sub(r"\s+", " ", reply).strip()


@dataclass(frozen=True, slots=True)
class Said:
    """A reply, its meaning or "", and the number of rows with it."""

    status: Status
    words: str
    meaning: str
    rows: int


def alike(replies: Iterable[tuple[Status, str, int]]) -> list[Said]:
    """Merge similar (status, reply, rows), the most frequent first."""
    counts: Counter[tuple[Status, str]] = Counter()
    meaning: dict[str, str] = {}
    for status, reply, count in replies:
        words = grouped(reply)
        counts[status, words] += count
        meaning.setdefault(words, explain(reply))
    return [Said(status, words, meaning[words], count) for (status, words), count in counts.most_common()]


def without(counts: Mapping[Status, int], parts: Iterable[Mapping[Status, int]]) -> dict[Status, int]:
    """Return counts by status minus `parts`."""
    left = Counter(counts)
    for part in parts:
        left.subtract(part)
    return dict(left)


def duration(seconds: float) -> str:
    """Return `45 s`, `12 min`, `3 h 20 min` or `2 d 4 h`."""
    if seconds < 90:
        return f"{max(0, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 36:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} d {hours % 24} h"


def speed(count: int, seconds: float) -> str:
    """Return a speed: `14.0 a second`, `2.3 a minute`, `5.0 an hour`; "" for less than a second."""
    if seconds < 1:
        return ""
    for unit, length in (("a second", 1), ("a minute", 60)):
        if count * length / seconds >= 1:
            return f"{count * length / seconds:,.1f} {unit}"
    return f"{count * 3600 / seconds:,.1f} an hour"


def average(summary: Summary) -> str:
    """Return the average speed without pauses, or "" if there are too few messages."""
    # In each stretch without a pause, the time begins with the first message.
    fast = speed(summary.counts[Status.ACCEPTED] - summary.stretches, summary.active / SECOND)
    return f"{fast}, pauses left out" if fast and summary.stretches > 1 else fast


def per_minute(summary: Summary) -> float | None:
    """Return the messages accepted per minute, without pauses; None if there are too few."""
    if summary.active < SECOND:
        return None
    return round((summary.counts[Status.ACCEPTED] - summary.stretches) * 60 * SECOND / summary.active, 1)


_LIMITS = {"minute": "limit a minute", "hour": "hourly limit", "day": "daily limit"}


def full(window: Window) -> str:
    """Return `hourly limit reached (100/hour)`."""
    unit = str(window).partition("/")[2]
    return f"{_LIMITS.get(unit, 'limit')} reached ({window})"


def going_on(outlook: Outlook, now: int, why: str = "put off by the server") -> str:
    """Return why nothing is sent now, the time of the next message, and the end of the run.

    `hourly limit reached (100/hour): next message 03:55, end about 10:56`. `why` is the reason if it is not
    a limit. Without a wait, it is only the end.
    """
    end = f"end about {hour(outlook.ends_at, now)}"
    reason = waiting_for(outlook, now, why)
    return f"{reason}: next message {hour(outlook.next_at, now)}, {end}" if reason else end


def waiting_for(outlook: Outlook, now: int, why: str = "put off by the server") -> str | None:
    """Return what the next message waits for at `now`, UTC ns, or None."""
    if outlook.next_at - now < _MOMENT:
        return None
    return full(outlook.limit) if outlook.limit is not None else why


def hour(nanoseconds: int, now: int) -> str:
    """Return a UTC time in the local time zone: `14:03`, with the date if it is another day."""
    whole, today = clock(nanoseconds), clock(now)
    return whole[11:] if whole[:10] == today[:10] else whole


def clock(nanoseconds: int) -> str:
    """Return a UTC time in the local time zone: `2026-05-01 14:03`."""
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
