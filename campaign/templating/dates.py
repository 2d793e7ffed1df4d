"""The filters `date` and `datetime`: parse a cell's text, and write it in the format that a template gives.

Without `read`, they parse ISO 8601's 2026-03-20, and 20.3.2026, which has one meaning everywhere; 03/04/2026
has two. The directives of a format are Python's, but implemented here: the C library's differ from machine to
machine, and one of its widths can fill the memory. Names of months and days are English, or given as
arguments.
"""

from __future__ import annotations

import datetime as calendar
import re
from collections.abc import Callable, Mapping, Sequence

from jinja2 import Undefined

from campaign.templating.numbers import Unreadable

LONGEST = 100  # characters of a date, and of a format

MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
          "November", "December")  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_DOTTED = re.compile(
    r"([0-9]{1,2})\.\s?([0-9]{1,2})\.\s?([0-9]{4})(?:,?\s+([0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?))?"
)
_ISO = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:(?:T|\s+)([0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)\s?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_SLASHES = re.compile(r"[0-9]{1,4}/[0-9]{1,2}/[0-9]{2,4}.*")
_DIRECTIVE = re.compile(r"%(-?)(.?)", re.DOTALL)
_OF_TIME = frozenset("HIMSp")
_OF_YEAR = frozenset("YyGcx")
_BY_YEAR = frozenset("YyGVjuAa")  # directives that need the year
_SOME_YEAR = 2000  # for a date that is read without a year: it has a 29 February

# Directive → (value, number of digits); a - removes leading zeros.
_NUMBERS: Mapping[str, tuple[Callable[[calendar.datetime], int], int]] = {
    "d": (lambda at: at.day, 2),
    "m": (lambda at: at.month, 2),
    "y": (lambda at: at.year % 100, 2),
    "Y": (lambda at: at.year, 4),
    "j": (lambda at: at.timetuple().tm_yday, 3),
    "V": (lambda at: at.isocalendar().week, 2),
    "G": (lambda at: at.isocalendar().year, 4),
    "u": (lambda at: at.isoweekday(), 1),
    "H": (lambda at: at.hour, 2),
    "I": (lambda at: at.hour % 12 or 12, 2),
    "M": (lambda at: at.minute, 2),
    "S": (lambda at: at.second, 2),
}


def date(
    value: object,
    format: str = "%Y-%m-%d",  # noqa: A002
    read: str | None = None,
    months: Sequence[str] = MONTHS,
    days: Sequence[str] = DAYS,
) -> str:
    """Return the date in a text, written in `format`: '2026-03-20'|date('%d.%m.%Y').

    `read` is the format of the text. Raises Unreadable.
    """
    if _directives(_format(format)) & _OF_TIME:
        raise ValueError(f"date({format!r}): a date has no time of day; |datetime has")
    return _written(_read(value, read, format, "date")[0], format, months, days)


def datetime(
    value: object,
    format: str = "%Y-%m-%d %H:%M",  # noqa: A002
    read: str | None = None,
    months: Sequence[str] = MONTHS,
    days: Sequence[str] = DAYS,
) -> str:
    """The same for a date with its time. The time stays as it is; no time zone is converted."""
    at, has_time = _read(value, read, _format(format), "datetime")
    if not has_time:
        raise Unreadable(value, "has no time of day", "|date writes the day alone")
    return _written(at, format, months, days)


def _read(value: object, read: str | None, form: str, name: str) -> tuple[calendar.datetime, bool]:
    """Return the moment to write in the format `form`, and whether the value has a time of day."""
    if isinstance(value, Undefined):
        str(value)  # StrictUndefined raises an error that names what is missing
    if isinstance(value, calendar.datetime):
        return value, True
    if isinstance(value, calendar.date):
        return calendar.datetime(value.year, value.month, value.day), False
    text = str(value).strip() if value is not None else ""
    if len(text) > LONGEST:
        raise Unreadable(value, "is no date")
    if read is not None:
        return _read_as(value, text, _format(read), form)
    try:
        if iso := _ISO.fullmatch(text):
            return _moment(iso[1], iso[2], iso[3], iso[4])
        if dotted := _DOTTED.fullmatch(text):
            return _moment(dotted[3], dotted[2], dotted[1], dotted[4])
    except ValueError:
        raise Unreadable(value, "is no date: there is no such day, or no such time") from None
    hint = f"say how it is written: |{name}('%d.%m.%Y', read='%m/%d/%Y')" if text else ""
    raise Unreadable(value, "may be more than one date" if _SLASHES.fullmatch(text) else "is no date", hint)


def _read_as(value: object, text: str, read: str, form: str) -> tuple[calendar.datetime, bool]:
    directives = _directives(read)
    has_year = bool(directives & _OF_YEAR)
    try:
        # Python 3.15 does not parse a date without a year.
        if has_year:
            at = calendar.datetime.strptime(text, read)
        else:
            at = calendar.datetime.strptime(f"{text} {_SOME_YEAR}", f"{read} %Y")
    except re.error:  # a directive twice
        raise ValueError(f"read={read!r} cannot be used to read a date") from None
    except ValueError as error:
        if "bad directive" in str(error) or "stray %" in str(error):
            raise ValueError(f"read={read!r}: {error}") from None
        raise Unreadable(value, f"is no date that is written {read}") from None
    if not has_year and (lacking := sorted(_directives(form) & _BY_YEAR)):
        writes = f"{form!r} writes %{lacking[0]}, which depends on it"
        raise ValueError(f"read={read!r} reads no year, and {writes}")
    return at, bool(directives & {*_OF_TIME, "c", "X"})


def _directives(form: str) -> set[str]:
    return {directive[2] for directive in _DIRECTIVE.finditer(form)}


def _moment(year: str, month: str, day: str, time: str | None) -> tuple[calendar.datetime, bool]:
    hour, minute, second = (*map(int, (time or "0:0").partition(".")[0].split(":")), 0)[:3]
    moment = calendar.datetime(int(year), int(month), int(day), hour, minute, second)
    return moment, time is not None


def _format(format: object) -> str:  # noqa: A002
    if not isinstance(format, str) or len(format) > LONGEST:
        raise ValueError(
            f"the format of a date is a text of at most {LONGEST} characters, such as '%d.%m.%Y'"
        )
    return format


def _written(at: calendar.datetime, form: str, months: Sequence[str], days: Sequence[str]) -> str:
    for what, names, count in (("months", months, 12), ("days", days, 7)):
        fit = isinstance(names, list | tuple) and len(names) == count
        if not fit or not all(isinstance(name, str) and len(name) <= LONGEST for name in names):
            raise ValueError(f"{what} is a list of {count} names")

    def one(found: re.Match[str]) -> str:
        bare, directive = found[1], found[2]
        if directive in _NUMBERS:
            value, digits = _NUMBERS[directive]
            return str(value(at)) if bare else f"{value(at):0{digits}d}"
        match directive if not bare else "":
            case "B":
                return months[at.month - 1]
            case "b":
                return months[at.month - 1][:3]
            case "A":
                return days[at.weekday()]
            case "a":
                return days[at.weekday()][:3]
            case "p":
                return "AM" if at.hour < 12 else "PM"
            case "%":
                return "%"
            case _:
                known = " ".join(f"%{letter}" for letter in sorted({*_NUMBERS, *"BbAap%"}, key=str.lower))
                raise ValueError(
                    f"the format {form!r} has {found[0]}; there are {known}, and %-d without its zero"
                )

    return _DIRECTIVE.sub(one, form)
