"""A window: several contents unanswered at once, by BDAT (RFC 3030) with PIPELINING (RFC 2920).

Each message is written whole, as one group:

    RSET, MAIL, RCPT, BDAT n LAST, its n octets        →        250, 250, 250, 250

RSET is never left out: behind a refusal that we have not read yet, Exim would take the recipient under
the sender before, and Postfix would add it to a message that its policy has refused.

A server that takes a content for commands would obey whoever wrote it. So no window opens before the
session has passed a probe, which is a content behind a refused recipient: RFC 3030 2 has the server read
its octets, refuse it, and go on. And no content goes in a window whose lines could be commands.
"""

from __future__ import annotations

from collections.abc import Sequence

MOST_OCTETS = 1 << 20
"""So many octets of contents are unanswered in a window at most. A longer one gains nothing there."""

LEAST_TRANSACTIONS = 3
"""A server that takes fewer transactions for a session (RFC 9422) has no room for a probe and a window."""

SURPRISES = range(500, 505)
"""Replies to BDAT that no server gives who has taken its octets, when it has taken the recipient."""


def bdat(chunks: Sequence[bytes], size: int) -> bytes:
    """Return a content of `size` octets as one BDAT LAST (RFC 3030 2). Nothing is stuffed."""
    return b"".join((b"BDAT %d LAST\r\n" % size, *chunks))
