"""Parses a content line of a calendar into a property, and checks its value (RFC 5545 3).

Only values that mail programs are known to reject are checked: times, and the people invited.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

_LENIENT = re.compile(r"([A-Za-z0-9-]+)(?:;[^:\"]*(?:\"[^\"]*\"[^:\"]*)*)?:(.*)", re.DOTALL)
_VALUE = r"(?:\"[^\"]*\"|[^\";:,]*)"
_PARAMETER = re.compile(rf";([A-Za-z0-9-]+)=({_VALUE}(?:,{_VALUE})*)")
_NAME = re.compile(r"[A-Za-z0-9-]+")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S")
_TIMES = {"DTSTAMP", "DTSTART", "DTEND", "DUE", "RECURRENCE-ID"}
_TIME = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})(?:T([0-9]{2})([0-9]{2})([0-9]{2})(Z?))?")
_FILTER = '|datetime("%Y%m%dT%H%M%S")'


class CalendarError(ValueError):
    """The text is not a valid invitation; the message is a sentence for a person.

    `about`: the name of the property at fault, or "". `without_value`: the message without values that
    differ from row to row, "" if it has none.
    """

    def __init__(self, message: str, about: str = "", without_value: str = "") -> None:
        super().__init__(message)
        self.about = about
        self.without_value = without_value


@dataclass(frozen=True, slots=True)
class Property:
    """A property: its name and its parameters' names in capitals, values as written."""

    name: str
    parameters: Mapping[str, str]
    value: str


def property_of(line: str) -> Property:
    """Return the property of a content line, unfolded (RFC 5545 3.1). Raises CalendarError."""
    begun = _NAME.match(line)
    name = begun[0].upper() if begun is not None else ""
    parameters: dict[str, str] = {}
    at = begun.end() if begun is not None else 0
    while (one := _PARAMETER.match(line, at)) is not None:
        parameters[one[1].upper()] = one[2]
        at = one.end()
    if name and line[at : at + 1] == ":":
        return Property(name, parameters, line[at + 1 :])
    if name and _LENIENT.fullmatch(line):
        what = f"{name}: a parameter is no NAME=value; write |ical_param behind its value"
        raise CalendarError(what, name)
    what = "is no property of a calendar, such as SUMMARY:Lunch"
    raise CalendarError(f"{line[:60]!r} {what}", name, f"{name} {what}")


def check(found: Property) -> None:
    """Check the value of an event's property. Raises CalendarError."""
    name, value = found.name, found.value.strip()
    if name in ("ORGANIZER", "ATTENDEE") and not _is_address(found.value):
        what = "write mailto: in front of the address, and |ical_param behind a parameter's value"
        raise CalendarError(f"{name} is {value[:60]!r}; {what}", name, f"{name}; {what}")
    if name in _TIMES and _moment(value) is None:
        what = f"write a time as 20261201T170000Z, or {_FILTER} behind a value"
        raise CalendarError(f"{name} is {value[:60]!r}; {what}", name, f"{name}; {what}")
    if name not in _TIMES:
        return
    is_date = found.parameters.get("VALUE", "").upper() == "DATE"  # RFC 5545 3.3.4 and 3.3.5
    if is_date != ("T" not in value):
        write = f"{name}:{value[:8]}T170000Z" if is_date else f"{name};VALUE=DATE:{value}"
        what = f"{name} is a {'date' if is_date else 'time'} and its value a {'time' if is_date else 'date'}"
        raise CalendarError(f"{what}; write {write}", name, what)
    if "TZID" in found.parameters and value.endswith("Z"):
        raise CalendarError(f"{name} has TZID, and Z at its end says UTC; leave one of them out", name)


def check_order(event: Mapping[str, Property]) -> None:
    """Check that an event does not end before its start. Raises CalendarError."""
    start, end = event["DTSTART"], event.get("DTEND")
    if end is None or start.parameters.get("TZID") != end.parameters.get("TZID"):
        return
    first, last = _moment(start.value.strip()), _moment(end.value.strip())
    comparable = start.value.strip()[8:].endswith("Z") == end.value.strip()[8:].endswith("Z")
    if comparable and first is not None and last is not None and last < first:
        raise CalendarError(f"DTEND {end.value} is before DTSTART {start.value}", "DTEND", "DTEND")


def _is_address(value: str) -> bool:
    """Whether it is a URI (RFC 5545 3.3.3), and not cut at a colon in a name: CN=Boss: Ann:mailto:…"""
    return _URI.match(value) is not None and ":mailto:" not in value.lower()


def _moment(value: str) -> datetime | None:
    """Parse a DATE or a DATE-TIME (RFC 5545 3.3.4 and 3.3.5); None if it is neither."""
    match = _TIME.fullmatch(value)
    if match is not None:
        year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
        with suppress(ValueError):
            return datetime(year, month, day, hour, minute, 59 if second == 60 else second)  # a leap second
    return None
