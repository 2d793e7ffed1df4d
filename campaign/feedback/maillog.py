"""A Postfix or Exim log → the Message-IDs that the server took, for settling what is in doubt.

Postfix names the Message-ID before it has taken a message, under a queue id, and that queue id again
once it has: `cleanup[1]: 4ABC: message-id=<…>`, then `qmgr[2]: 4ABC: from=<…>, … (queue active)` and
`smtp[3]: 4ABC: to=<…>, …, status=sent (…)`. Exim writes one line when it has: `1abcde-000123-AB <= … id=…`.
What became of it later is another matter: a bounce is no reason to send again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_POSTFIX_NAMED = re.compile(r"\]: (?P<queue>[0-9A-Za-z]{6,20}): (?:resent-)?message-id=(?P<id><[^<>\s]+>)")
_POSTFIX_TAKEN = re.compile(
    r"\]: (?P<queue>[0-9A-Za-z]{6,20}): (?:from=<[^>]*>, .*\(queue active\)|to=<[^>]*>, .*\bstatus=)"
)
_EXIM_TAKEN = re.compile(r"\b\w{6}-\w{6,11}-\w{2,4} <= .*? id=(?P<id>[^\s<>]+)")


def delivered(lines: Iterable[str]) -> set[str]:
    """Return the Message-IDs, in angle brackets, of the messages that the server took."""
    named: dict[str, str] = {}  # by queue id, which Postfix uses again
    taken: set[str] = set()
    for line in lines:
        if (match := _POSTFIX_NAMED.search(line)) is not None:
            named[match["queue"]] = match["id"]
        elif (match := _EXIM_TAKEN.search(line)) is not None:
            taken.add(f"<{match['id']}>")
        elif (match := _POSTFIX_TAKEN.search(line)) is not None and match["queue"] in named:
            taken.add(named[match["queue"]])
    return taken
