"""Show an invitation as a mail program does: what, when, where, and the organiser.

It is read from the calendar part that would be sent (RFC 5545). A time is shown as it is written, with the
name of its zone; it is not converted, since the recipient's zone is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LINE = re.compile(r"([A-Za-z0-9-]+)((?:;[^:\"]*(?:\"[^\"]*\"[^:\"]*)*)?):(.*)", re.DOTALL)
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)\d\d(Z?))?")
_ZONE = re.compile(r";TZID=\"?([^;\":]+)", re.IGNORECASE)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_METHODS = {"REQUEST": "", "CANCEL": "cancelled", "PUBLISH": "for information"}


@dataclass(frozen=True, slots=True)
class Invitation:
    """The first event of a calendar, in words; missing values are ""."""

    what: str
    when: str
    where: str
    organiser: str
    kind: str

    @property
    def lines(self) -> list[str]:
        """The values that are there, the event's name first."""
        name = f"{self.what or '(no name)'}{f' ({self.kind})' if self.kind else ''}"
        return [name, *filter(None, (self.when, self.where, self.organiser))]


def invitation(calendar: str) -> Invitation:
    """Return the first event of a calendar."""
    found: dict[str, tuple[str, str]] = {}
    within: list[str] = []
    for name, parameters, value in _properties(calendar):
        if name == "BEGIN":
            within.append(value.upper())
        elif name == "END":
            within = within[:-1]
            if value.upper() in ("VEVENT", "VTODO"):
                break
        elif len(within) < 3 and within[-1:] != ["VTIMEZONE"]:
            found.setdefault(name, (parameters, value))
    begins, ends = (_time(*found[name]) if name in found else "" for name in ("DTSTART", "DTEND"))
    day = begins[:10]
    ends = ends[11:] if day and ends.startswith(f"{day} ") else ends
    method = found.get("METHOD", ("", ""))[1].upper()
    return Invitation(
        _text(found.get("SUMMARY", ("", ""))[1]),
        f"{begins} to {ends}" if begins and ends and ends != begins else begins,
        _text(found.get("LOCATION", ("", ""))[1]),
        re.sub("^mailto:", "", found.get("ORGANIZER", ("", ""))[1], flags=re.IGNORECASE),
        _METHODS.get(method, method),
    )


def _properties(calendar: str) -> Iterator[tuple[str, str, str]]:
    for line in re.sub(r"\r?\n[ \t]", "", calendar).splitlines():
        if match := _LINE.fullmatch(line):
            yield match[1].upper(), match[2], match[3].strip()


def _time(parameters: str, value: str) -> str:
    """Return `2026-04-12 14:00 UTC`, `2026-04-12`, or the value itself if it has another form."""
    match = _TIME.fullmatch(value)
    if match is None:
        return value
    year, month, day, hour, minute, utc = match.groups()
    zone = _ZONE.search(parameters)
    named = " UTC" if utc else f" {zone[1]}" if zone is not None else ""
    return f"{year}-{month}-{day}" + (f" {hour}:{minute}{named}" if hour else "")


def _text(value: str) -> str:
    return " ".join(_ESCAPED.sub(lambda found: " " if found[1] in "nN" else found[1], value).split())
