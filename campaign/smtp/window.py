"""A window: several contents unanswered at once, by BDAT (RFC 3030) with PIPELINING (RFC 2920).

Each message is written whole, as one group:

    RSET, MAIL, RCPT, BDAT n LAST, its n octets        →        250, 250, 250, 250

RSET is always sent: after a refusal that we have not read yet, Exim would accept the recipient under the
previous sender, and Postfix would add it to a message that its policy has refused.

A server that reads a content as commands would execute whatever its author wrote. So a window opens only
after a probe: the session sends a content after a refused recipient, and the server must read its octets,
refuse it, and continue (RFC 3030 2). And a content with command-like lines is never sent in a window.
"""

from __future__ import annotations

from collections.abc import Sequence

MOST_OCTETS = 1 << 20
"""The most octets of content that may be unanswered in a window. Longer contents gain nothing from one."""

LEAST_TRANSACTIONS = 3
"""If a server takes fewer transactions per session (RFC 9422), a probe and a window do not fit."""

UNEXPECTED_REPLIES = range(500, 505)
"""If BDAT gets such a reply after an accepted recipient, the server has not read the octets as content."""


def bdat(chunks: Sequence[bytes], size: int) -> bytes:
    """Return a content of `size` octets as one BDAT LAST, without dot-stuffing (RFC 3030 2)."""
    return b"".join((b"BDAT %d LAST\r\n" % size, *chunks))
