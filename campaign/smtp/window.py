"""A window: several contents unanswered at once, by BDAT (RFC 3030) with PIPELINING (RFC 2920).

Each message is written whole, as one group:

    RSET, MAIL, RCPT, BDAT n LAST, its n octets        →        250, 250, 250, 250

RSET is always sent: after a refusal that we have not read yet, Exim would accept the recipient under the
previous sender, and Postfix would add it to a message that its policy has refused.

A server that reads a content as commands would execute whatever its author wrote. So no window opens before
the session has passed a probe, which is a content after a refused recipient: RFC 3030 2 has the server read
its octets, refuse it, and go on. And a content with lines that could be commands is never sent in a window.
"""

from __future__ import annotations

from collections.abc import Sequence

MOST_OCTETS = 1 << 20
"""The most octets of contents that may be unanswered in a window. Longer contents gain nothing from one."""

LEAST_TRANSACTIONS = 3
"""A server that takes fewer transactions for a session (RFC 9422) has no room for a probe and a window."""

UNEXPECTED_REPLIES = range(500, 505)
"""Replies to BDAT, after an accepted recipient, of a server that has not read the octets as content."""


def bdat(chunks: Sequence[bytes], size: int) -> bytes:
    """Return a content of `size` octets as one BDAT LAST (RFC 3030 2). Nothing is stuffed."""
    return b"".join((b"BDAT %d LAST\r\n" % size, *chunks))
