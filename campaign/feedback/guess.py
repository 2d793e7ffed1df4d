"""Recognise bounces in non-standard forms with flufl.bounce; the result is a guess.

It says whether a mail is a bounce, and for which address. It calls full mailboxes and refusals by policy
permanent, so its verdict is ignored: such a bounce is a soft one. It is optional (`campaign[bounces]`), and
gets only short mails with few parts, because its patterns are not safe against hostile ones.
"""

from __future__ import annotations

import email
import email.errors
import logging
import re
from collections.abc import Iterable, Iterator

from campaign.feedback.reports import Failure

_MOST = 64 * 1024  # octets
_LINE = 1000
_LINES = 2000
_PARTS = 20
_ADDRESSES = 50
_BLANK_LINES = 3  # in a row


def guessed(mail: bytes) -> tuple[Failure, ...]:
    """Return the recipients that a mail seems to be about; nothing if it is not a bounce."""
    try:
        from flufl.bounce import all_failures
    except ImportError:
        return ()
    text = mail[:_MOST].decode("ascii", "replace").replace("\r\n", "\n").replace("\ufffd", "?")
    lines = list(_spaced(text.split("\n", _LINES)[:_LINES]))
    if text.lower().count("boundary=") > _PARTS or any(len(line) > _LINE for line in lines):
        return ()
    message = email.message_from_string("\n".join(lines))
    if not message.get("from", "").strip():
        message["From"] = "nobody@invalid"  # flufl.bounce fails without a From
    logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL + 1)  # it writes tracebacks
    try:
        temporary, permanent = all_failures(message)
    except (ValueError, LookupError, TypeError, AttributeError, email.errors.MessageError):
        return ()  # it raises for mails that it does not expect
    found = [("failed", address) for address in sorted(permanent)]
    found += [("delayed", address) for address in sorted(temporary - permanent)]
    return tuple(
        Failure(action, None, "", final=address.decode("utf-8", "replace")[:400])
        for action, address in found[:_ADDRESSES]
    )


def _spaced(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines without long white space, which is slow for patterns with `\\s*` in them."""
    blank = 0
    for line in lines:
        blank = 0 if line.strip() else blank + 1
        if blank <= _BLANK_LINES:
            yield re.sub(r"[ \t]{9,}", " " * 8, line.rstrip())
