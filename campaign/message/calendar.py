"""Renders a calendar template into an invitation that mail programs accept (RFC 5545), or says what is wrong.

    calendar template → text with the template's line ends marked → content lines, unfolded, checked, folded

A line end of the template ends a property. A line end in a value would begin another property: an attendee,
or a link. So the template's own are marked before rendering (`templating/marks.py`), and others are refused.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from jinja2 import TemplateNotFound

from campaign.errors import Problem, UserError
from campaign.message.calendarvalues import CalendarError, Property, check, check_order, property_of
from campaign.message.content import Content
from campaign.message.files import read_from
from campaign.templating.compiled import compile_file
from campaign.templating.marks import LINE_END
from campaign.templating.names import ROW, Names
from campaign.templating.sandbox import environment
from campaign.templating.text import Text
from campaign.wording import shown

CALENDAR = "calendar"
"""The key of the campaign file, and the template's name among the bodies."""

_LINE = 75  # octets without the CRLF, RFC 5545 3.1
# RFC 5545 3.1: no control character except a tab; also characters that some readers take for a line end.
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_NAME = re.compile(r"[A-Za-z0-9-]*")
_METHOD = re.compile(r"[A-Za-z0-9-]+")  # iana-token, RFC 5545 3.7.2
_OF_CALENDARS = ("VERSION", "PRODID", "METHOD")  # RFC 5545 3.6, RFC 5546 3.2
_OF_EVENTS = ("UID", "DTSTAMP", "DTSTART")
_OUTER = "VCALENDAR"


@dataclass(frozen=True, slots=True)
class Calendar:
    """An invitation: its METHOD, and its content lines, folded, with CRLF line ends."""

    method: str
    text: str


class CalendarTemplate:
    """The template of a campaign's invitations, if it has one, and its `problems`."""

    def __init__(self, content: Content, names: Names) -> None:
        self.problems: list[Problem] = []
        self.text: Text | None = None
        file = content.files.get(CALENDAR)
        if file is None:
            return
        self._file = shown(file)
        env = environment(content.folder, html=False, calendar=True, private=content.private)
        place = content.problem(CALENDAR, "")
        try:
            self._name = content.template_name(file)
            self.text = compile_file(self._name, env=env, place=place, names=names)
        except TemplateNotFound as error:
            self.problems.append(replace(place, message=str(error.message)))
        except UserError as error:
            self.problems += error.problems

    def render(self, context: Mapping[str, object]) -> Calendar | None:
        """Return a row's invitation, None if the campaign has none. Raises UserError."""
        if self.text is None:
            return None
        try:
            return calendar_of(self.text.render(context))
        except _Broken as error:
            row = context.get(ROW)
            cells = row.items() if isinstance(row, Mapping) else ()
            columns = [column for column, cell in cells if _CONTROL.search(cell)]
            what = f"{error}{read_from(columns)}"
            raise UserError(Problem(what, self._file, self._line(error), same=str(error))) from None
        except CalendarError as error:
            same = error.without_value
            raise UserError(Problem(str(error), self._file, self._line(error), same=same)) from None

    def _line(self, error: CalendarError) -> int | None:
        """Return the template's line with the property at fault, None if it is not unique."""
        source = self.text.sources.get(self._name, "") if self.text is not None else ""
        written = [
            match[0].upper() if (match := _NAME.match(line.lstrip())) else "" for line in source.split("\n")
        ]
        is_one = error.about and written.count(error.about.upper()) == 1
        return written.index(error.about.upper()) + 1 if is_one else None


class _Broken(CalendarError):
    """A value contains a character that could end its line."""


def calendar_of(rendered: str) -> Calendar:
    """Return the invitation in a rendered template; its own line ends are LINE_END.

    Lines are unfolded, blank ones dropped, and the rest folded again. Raises CalendarError.
    """
    found = _CONTROL.search(rendered)
    if found is not None:
        line = rendered[: found.start()].rpartition(LINE_END)[2]
        name = _NAME.match(line)
        about = name[0] if name else ""
        what = "line break" if found[0] in "\n\r\x85\u2028\u2029" else "control character"
        raise _Broken(
            f"{about}: a value has a {what} in it, and could begin a property; write |ical behind it", about
        )
    lines = list(_unfolded(rendered.split(LINE_END)))
    method = _method(lines)
    return Calendar(method, "".join(f"{_folded(line)}\r\n" for line in lines))


def _unfolded(lines: Iterable[str]) -> Iterator[str]:
    """RFC 5545 3.1: a line that begins with white space continues the one before it."""
    unfolded = ""
    for line in lines:
        if not line.strip():
            continue  # left by a tag such as {% if … %} alone on its line
        if line[0] in " \t" and unfolded:
            unfolded += line[1:]
            continue
        if unfolded:
            yield unfolded
        unfolded = line.lstrip()
    if unfolded:
        yield unfolded


def _method(lines: Sequence[str]) -> str:
    """Check the structure of a calendar, and return its METHOD. Raises CalendarError."""
    if not lines:
        raise CalendarError(f"BEGIN:{_OUTER} is missing: the calendar is blank")
    within: list[str] = []
    outer: dict[str, Property] = {}
    events: list[tuple[str, dict[str, Property]]] = []  # (component, properties)
    for number, line in enumerate(lines):
        found = property_of(line)
        value = found.value.strip()
        if not within and (found.name, value.upper()) != ("BEGIN", _OUTER):
            raise CalendarError(f"BEGIN:{_OUTER} is missing before {line[:60]!r}")
        if not within and number:
            raise CalendarError(f"a second BEGIN:{_OUTER}: an invitation is one calendar")
        if found.name == "BEGIN":
            within.append(value.upper())
            if len(within) == 2:
                events.append((value.upper(), {}))
        elif found.name == "END":
            if within.pop() != value.upper():
                raise CalendarError(f"{line[:60]!r} ends what did not begin")
        elif len(within) == 1 and value:
            outer[found.name] = found
        elif len(within) == 2 and value:
            check(found)
            events[-1][1][found.name] = found
    if within:
        raise CalendarError(f"END:{within[-1]} is missing")
    method = outer["METHOD"].value.strip() if "METHOD" in outer else ""
    _complete(method, outer, [names for kind, names in events if kind != "VTIMEZONE"])
    return method.upper()


def _complete(method: str, outer: Container[str], timed: Sequence[Mapping[str, Property]]) -> None:
    """Check that an invitation has what RFC 5546 3.2 requires. Raises CalendarError."""
    lacks = [name for name in _OF_CALENDARS if name not in outer]
    if not timed:
        lacks.append("BEGIN:VEVENT")
    lacks += [name for name in _OF_EVENTS if any(name not in names for names in timed)]
    if lacks:
        raise CalendarError(f"the calendar lacks {', '.join(lacks)}")
    if not _METHOD.fullmatch(method):
        raise CalendarError(f"METHOD is {method[:60]!r}; an invitation's is REQUEST", "METHOD")
    for names in timed:
        check_order(names)
    if method.upper() == "REQUEST" and len({names["UID"].value for names in timed}) > 1:
        what = "its events have several UIDs, but mail programs show only the first: invite to one event"
        raise CalendarError(what)


def _folded(line: str) -> str:
    """Fold a content line into lines of at most 75 octets, without splitting a character."""
    octets = line.encode()
    if len(octets) <= _LINE:
        return line
    pieces: list[bytes] = []
    start, room = 0, _LINE
    while start < len(octets):
        end = min(start + room, len(octets))
        while end < len(octets) and octets[end] & 0xC0 == 0x80:
            end -= 1
        pieces.append(octets[start:end])
        start, room = end, _LINE - 1  # after the blank that a continued line begins with
    return b"\r\n ".join(pieces).decode()
