"""A Postfix or Exim log → the Message-IDs that were delivered on, for settling what is in doubt.

Both write the Message-ID when they take a message, under a queue id, and that queue id again when it
has left. Postfix: `cleanup[1]: 4ABC: message-id=<…>` and `smtp[2]: 4ABC: to=<…>, …, status=sent (…)`.
Exim: `1abcde-000123-AB <= … id=…` and `1abcde-000123-AB => …`, or `** …` where it failed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_POSTFIX_TAKEN = re.compile(r"\]: (?P<queue>[0-9A-Za-z]{6,20}): (?:resent-)?message-id=(?P<id><[^<>\s]+>)")
_POSTFIX_SENT = re.compile(r"\]: (?P<queue>[0-9A-Za-z]{6,20}): to=<[^>]*>,.*\bstatus=sent\b")
_EXIM_TAKEN = re.compile(r"(?P<queue>\b\w{6}-\w{6,11}-\w{2,4}) <= .*\bid=(?P<id>[^\s<>]+)")
_EXIM_SENT = re.compile(r"(?P<queue>\b\w{6}-\w{6,11}-\w{2,4}) [=-]> ")


def delivered(lines: Iterable[str]) -> set[str]:
    """Return the Message-IDs, in angle brackets, of the messages that were sent on or delivered."""
    taken: dict[str, str] = {}
    sent: set[str] = set()
    for line in lines:
        if (match := _POSTFIX_TAKEN.search(line)) is not None:
            taken[match["queue"]] = match["id"]
        elif (match := _EXIM_TAKEN.search(line)) is not None:
            taken[match["queue"]] = f"<{match['id']}>"
        elif (match := _POSTFIX_SENT.search(line) or _EXIM_SENT.search(line)) is not None:
            sent.add(match["queue"])
    return {message_id for queue, message_id in taken.items() if queue in sent}
