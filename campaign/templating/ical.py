"""The filter `ical`: a value as the TEXT of a calendar's property (RFC 5545 3.3.11)."""

from __future__ import annotations

import re

_ESCAPED = str.maketrans({"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n"})
_LINE_END = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f]")  # which no content line may hold, RFC 5545 3.1


def ical(value: object) -> object:
    """Return a value with its backslashes, semicolons, commas and line ends escaped.

    Other control characters are left out. None stays, so that printing it is an error as it is everywhere.
    """
    if value is None:
        return None
    return _CONTROL.sub("", _LINE_END.sub("\n", str(value))).translate(_ESCAPED)
