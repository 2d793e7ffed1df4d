"""The filters for calendars: `ical` escapes a value for a property (TEXT), `ical_param` for a parameter.

RFC 5545 3.3.11 and 3.2; RFC 6868 for characters that are not allowed in a parameter.
"""

from __future__ import annotations

import re

from campaign.templating.printing import printed

_ESCAPED = str.maketrans({"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n"})
_IN_PARAMETER = str.maketrans({"^": "^^", '"': "^'", "\n": "^n"})  # RFC 6868 3.1
_LINE_END = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f]")  # which no content line may hold, RFC 5545 3.1


def ical(value: object) -> object:
    """Return a value with its backslashes, semicolons, commas and line ends escaped.

    Other control characters are left out. None stays, so that printing it is an error as everywhere.
    """
    if value is None:
        return None
    return _CONTROL.sub("", _LINE_END.sub("\n", str(printed(value)))).translate(_ESCAPED)


def ical_param(value: object) -> object:
    """Return a value in quotes for a parameter, with its own quotes as `^'`. None stays, as in `ical`."""
    if value is None:
        return None
    text = _CONTROL.sub("", _LINE_END.sub("\n", str(printed(value))))
    return f'"{text.translate(_IN_PARAMETER)}"'
