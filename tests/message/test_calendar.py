"""Invitations: what mail programs expect, rendered for a row, and nothing that a cell could add."""

from __future__ import annotations

import re
import subprocess
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from campaign.message.calendar import calendar_of
from campaign.message.calendarvalues import CalendarError
from campaign.templating.ical import ical, ical_param
from campaign.templating.marks import LINE_END
from tests.message.rendering import Made, fields, octets, read, refusal, rendered, row
from tests.need import need

INVITE = """\
BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//Example//Letters//EN
METHOD:REQUEST
BEGIN:VEVENT
UID:{{ recipient.number }}@example.com
DTSTAMP:20260320T073000Z
DTSTART:20260401T160000Z
DTEND:20260401T170000Z
ORGANIZER:mailto:news@example.com
ATTENDEE;RSVP=TRUE:mailto:{{ email }}
SUMMARY:Tea with {{ first|ical }}
{% if note %}
DESCRIPTION:{{ note|ical }}
{% endif %}
END:VEVENT
END:VCALENDAR
"""
OTHER = """\
BEGIN:VEVENT
UID:other
DTSTAMP:20260320T073000Z
DTSTART:20260408T160000Z
END:VEVENT
"""
TEXTS = st.text(max_size=200) | st.lists(
    st.sampled_from(
        ["\\", ";", ",", "\n", "\r\n", "\r", "n", "\t", "\0", "\x85", "\u2028", "ж" * 40, "BEGIN:", "😀"]
    )
).map("".join)


@pytest.fixture
def invited(made: Made, tmp_path: Path) -> Made:
    def invited(template: str = INVITE, **values: object) -> object:
        (tmp_path / "invite.ics.j2").write_text(template, "utf-8")
        return made(calendar="invite.ics.j2", **values)

    return invited  # type: ignore[return-value]


def unfolded(calendar: bytes) -> list[str]:
    """The content lines, by the rules of RFC 5545 3.1."""
    assert calendar.endswith(b"\r\n")
    lines = calendar.removesuffix(b"\r\n").split(b"\r\n")
    assert all(0 < len(line) <= 75 and b"\n" not in line and b"\r" not in line for line in lines)
    for line in lines:
        line.decode()  # a split character would not decode
    return calendar.decode().replace("\r\n ", "").removesuffix("\r\n").split("\r\n")


def unescaped(value: str) -> str:
    """RFC 5545 3.3.11."""
    return re.sub(r"\\(.)", lambda m: {"n": "\n", "N": "\n"}.get(m[1], m[1]), value)


def calendars(message: EmailMessage) -> list[bytes]:
    kinds = ("text/calendar", "application/ics")
    parts = [part for part in message.walk() if part.get_content_type() in kinds]
    found = [part.get_payload(decode=True) for part in parts]
    assert all(isinstance(one, bytes) for one in found)
    return found  # type: ignore[return-value]


class TestShape:
    def test_the_last_alternative_and_a_file(self, invited: Made, tmp_path: Path) -> None:
        (tmp_path / "terms.pdf").write_bytes(b"%PDF")
        renderer = invited(templates={"text": "body.txt", "html": "body.html"}, attachments=["terms.pdf"])
        message = read(rendered(renderer, row(first="Zoë")))
        assert [part.get_content_type() for part in message.walk()] == [
            "multipart/mixed",
            "multipart/alternative",
            "text/plain",
            "text/html",
            "text/calendar",
            "application/pdf",
            "application/ics",
        ]
        _, _, _, _, alternative, _, file = message.walk()
        assert alternative["Content-Type"].params == {"method": "REQUEST", "charset": "utf-8"}
        assert alternative.get_content_disposition() is None
        assert file["Content-Type"] == 'application/ics; name="invite.ics"'
        assert (file.get_content_disposition(), file.get_filename()) == ("attachment", "invite.ics")
        one, other = calendars(message)
        assert one == other
        assert "SUMMARY:Tea with Zoë" in unfolded(one)

    def test_beside_text_alone(self, invited: Made) -> None:
        message = rendered(invited())
        assert [part.get_content_type() for part in read(message).walk()] == [
            "multipart/mixed", "multipart/alternative", "text/plain", "text/calendar", "application/ics",
        ]  # fmt: skip
        assert b"\r\nContent-Type: text/calendar; method=REQUEST; charset=utf-8\r\n" in octets(message)
        assert unfolded(calendars(read(message))[0]) == [
            "BEGIN:VCALENDAR",
            "VERSION:2.0",
            "PRODID:-//Example//Letters//EN",
            "METHOD:REQUEST",
            "BEGIN:VEVENT",
            "UID:3@example.com",
            "DTSTAMP:20260320T073000Z",
            "DTSTART:20260401T160000Z",
            "DTEND:20260401T170000Z",
            "ORGANIZER:mailto:news@example.com",
            "ATTENDEE;RSVP=TRUE:mailto:ann@x.test",
            "SUMMARY:Tea with Ann",
            "END:VEVENT",
            "END:VCALENDAR",
        ]

    def test_the_method_is_the_calendar_s(self, invited: Made) -> None:
        message = read(rendered(invited(INVITE.replace("METHOD:REQUEST", "method:cancel"))))
        (part,) = [part for part in message.walk() if part.get_content_type() == "text/calendar"]
        assert part["Content-Type"].params["method"] == "CANCEL"

    def test_mblaze_reads_it(self, invited: Made, tmp_path: Path) -> None:
        program = need("mblaze")
        (tmp_path / "m.eml").write_bytes(octets(rendered(invited(), row(first="Zoë", note="x" * 200))))
        listed = subprocess.run([program, "-t", "./m.eml"], cwd=tmp_path, capture_output=True, check=True)
        assert b"text/calendar" in listed.stdout
        assert b"application/ics size=" in listed.stdout
        assert b'name="invite.ics"' in listed.stdout
        shown = subprocess.run(
            [program, "-O", "./m.eml", "4"], cwd=tmp_path, capture_output=True, check=True
        ).stdout
        assert f"DESCRIPTION:{'x' * 200}" in unfolded(shown.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))

    def test_the_digest_covers_it(self, invited: Made, made: Made) -> None:
        digests = {made().digest, invited().digest, invited(INVITE.replace("Tea", "Coffee")).digest}
        assert len(digests) == 3

    def test_its_columns_are_known(self, invited: Made) -> None:
        assert {"email", "first", "note"} <= invited().columns


class TestRows:
    @pytest.mark.parametrize(
        ("template", "said"),
        [
            ("", "BEGIN:VCALENDAR is missing: the calendar is blank"),
            ("{% if note %}" + INVITE + "{% endif %}", "BEGIN:VCALENDAR is missing: the calendar is blank"),
            (INVITE.replace("BEGIN:VCALENDAR\n", ""), "BEGIN:VCALENDAR is missing before 'VERSION:2.0'"),
            (INVITE.replace("METHOD:REQUEST\n", ""), "the calendar lacks METHOD"),
            (INVITE.replace("METHOD:REQUEST", "METHOD:{{ note }}"), "the calendar lacks METHOD"),
            (INVITE.replace("METHOD:REQUEST", "METHOD:a b"), "METHOD is 'a b'"),
            (re.sub("UID:.*\n", "", INVITE), "the calendar lacks UID"),
            (re.sub("UID:.*\n", "UID:{{ note }}\n", INVITE), "the calendar lacks UID"),
            (re.sub("DTST.*\n", "", INVITE), "the calendar lacks DTSTAMP, DTSTART"),
            (INVITE.replace("VEVENT", "VTIMEZONE"), "the calendar lacks BEGIN:VEVENT"),
            (INVITE.replace("END:VEVENT\n", ""), "'END:VCALENDAR' ends what did not begin"),
            (INVITE.replace("END:VCALENDAR\n", ""), "END:VCALENDAR is missing"),
            (INVITE + "X:1\n", "BEGIN:VCALENDAR is missing before 'X:1'"),
            (INVITE + INVITE, "a second BEGIN:VCALENDAR: an invitation is one calendar"),
            (re.sub("VERSION.*\nPRODID.*\n", "", INVITE), "the calendar lacks VERSION, PRODID"),
            (INVITE.replace("END:VEVENT\n", f"END:VEVENT\n{OTHER}"), "its events have several UIDs"),
        ],
    )
    def test_what_a_calendar_must_have(self, invited: Made, template: str, said: str) -> None:
        (told,) = refusal(lambda: rendered(invited(template)))
        assert said in told
        assert told.startswith("invite.ics.j2:")
        assert told.endswith("(row 3, line 4 of the list)")

    @pytest.mark.parametrize(
        ("name", "line", "said"),
        [
            ("SUMMARY", "SUMMARY Tea", "'SUMMARY Tea' is no property of a calendar"),
            (
                "DTSTART",
                "DTSTART:{{ note }}",
                "DTSTART is 'tomorrow'; write a time as 20261201T170000Z, or |date",
            ),
            ("DTSTART", "DTSTART:2026-04-01T16:00:00", "DTSTART is '2026-04-01T16:00:00'; write a time as"),
            ("DTSTART", "DTSTART:20261301T160000Z", "DTSTART is '20261301T160000Z'; write a time as"),
            (
                "DTSTART",
                "DTSTART:20260401",
                "DTSTART is a time and its value a date; write DTSTART;VALUE=DATE:2",
            ),
            ("DTSTART", "DTSTART;VALUE=DATE:20260401T160000", "DTSTART is a date and its value a time"),
            ("DTSTART", "DTSTART;TZID=Europe/Oslo:20260401T160000Z", "DTSTART has TZID, and Z at its end"),
            ("DTEND", "DTEND:20260401T150000Z", "DTEND 20260401T150000Z is before DTSTART 20260401T160000Z"),
            ("ORGANIZER", "ORGANIZER:news@example.com", "ORGANIZER is 'news@example.com'; write mailto: in"),
            ("ATTENDEE", 'ATTENDEE;CN=Ann "A" Lee:mailto:a@x.test', "ATTENDEE: a parameter is no NAME=value"),
            ("ATTENDEE", "ATTENDEE;CN=Boss: Ann:mailto:a@x.test", "ATTENDEE is 'Ann:mailto:a@x.test'; write"),
            ("DESCRIPTION", "DESCRIPTION:a\x07", "DESCRIPTION: a value has a control character in it"),
        ],
    )
    def test_what_a_value_must_be_with_the_template_s_line(
        self, invited: Made, name: str, line: str, said: str
    ) -> None:
        lines = INVITE.split("\n")
        at = next(number for number, one in enumerate(lines) if one.startswith(name))
        lines[at] = line
        (told,) = refusal(lambda: rendered(invited("\n".join(lines)), row(note="tomorrow")))
        assert told.startswith(f"invite.ics.j2:{at + 1}: {said}")

    @pytest.mark.parametrize(
        "line",
        [
            "DTSTART;VALUE=DATE:20260401",
            "DTSTART;TZID=Europe/Oslo:20260401T160000",
            'dtstart;tzid="Europe/Oslo":20260401T160000',
            "DTSTART:20260401T235960Z",
        ],
    )
    def test_times_that_are_right(self, invited: Made, line: str) -> None:
        assert rendered(invited(re.sub("DTSTART.*", line, INVITE).replace("DTEND:2026", "DTEND:2027")))

    def test_several_events_of_one_uid(self, invited: Made) -> None:
        again = OTHER.replace("UID:other", "UID:{{ recipient.number }}@example.com")
        assert rendered(invited(INVITE.replace("END:VEVENT\n", f"END:VEVENT\n{again}")))

    def test_where_two_lines_may_be_meant_none_is_named(self, invited: Made) -> None:
        (told,) = refusal(
            lambda: rendered(invited(INVITE.replace("SUMMARY:", "ATTENDEE:a@x.test\nSUMMARY:")))
        )
        assert told.startswith("invite.ics.j2: ATTENDEE is 'a@x.test'")

    def test_a_time_zone_s_start_is_not_the_event_s(self, invited: Made) -> None:
        zone = (
            "BEGIN:VTIMEZONE\nTZID:X\nBEGIN:STANDARD\nDTSTART:19700101T000000\nEND:STANDARD\nEND:VTIMEZONE\n"
        )
        (told,) = refusal(
            lambda: rendered(
                invited(re.sub("DTSTART.*\n", "", INVITE).replace("BEGIN:VEVENT", f"{zone}BEGIN:VEVENT"))
            )
        )
        assert "the calendar lacks DTSTART" in told
        assert rendered(invited(INVITE.replace("BEGIN:VEVENT", f"{zone}BEGIN:VEVENT")))

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\x85", "\u2028"])
    def test_a_line_break_in_a_cell_adds_no_property(self, invited: Made, end: str) -> None:
        evil = f"Tea{end}ATTENDEE:mailto:evil@x.test"
        cells = row(note=evil)
        (told,) = refusal(lambda: rendered(invited(INVITE.replace("note|ical", "note")), cells))
        assert "DESCRIPTION: a value has a line break in it, and could begin a property" in told
        assert "write |ical behind it; look at the column note (row 3, line 4 of the list)" in told
        lines = unfolded(calendars(read(rendered(invited(), cells)))[0])
        assert "DESCRIPTION:Tea\\nATTENDEE:mailto:evil@x.test" in lines
        assert sum(line.startswith("ATTENDEE") for line in lines) == 1

    def test_nor_where_a_macro_a_block_or_a_filter_prints_it(self, invited: Made) -> None:
        ways = (
            "{% macro m(x) %}X-A:{{ x }}\n{% endmacro %}{{ m(note) }}",
            "{% set x %}{{ note }}{% endset %}X-A:{{ x }}",
        )
        for way in (*ways, "X-A:{{ note|upper }}", "X-A:{{ [note, note]|join }}", "X-A:{{ note|safe }}"):
            renderer = invited(INVITE.replace("END:VEVENT", f"{way}\nEND:VEVENT"))
            assert "X-A:A" in "".join(unfolded(calendars(read(rendered(renderer, row(note="A"))))[0]))
            (told,) = refusal(lambda: rendered(renderer, row(note="A\nX-EVIL:1")))  # noqa: B023
            assert "X-A: a value has a line break in it" in told

    def test_a_cell_with_our_mark_is_refused(self, invited: Made) -> None:
        (told,) = refusal(lambda: rendered(invited(), row(note=f"A{LINE_END}X-EVIL:1")))
        assert "the cell 'note' holds U+FDD0, which is no character" in told

    def test_what_is_wrong_with_the_template_is_told_with_its_line(self, invited: Made) -> None:
        (told,) = refusal(lambda: invited(INVITE.replace("first|ical", "frist|ical")))
        assert told.startswith("invite.ics.j2:12: 'frist' is not defined; did you mean 'first'?")

    def test_it_needs_no_other_ending(self, made: Made, tmp_path: Path) -> None:
        (tmp_path / "tea.ics").write_text(INVITE)
        assert "Subject: News for Ann" in fields(rendered(made(calendar="tea.ics")))


def event(summary: str) -> str:
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:x", "METHOD:REQUEST", "BEGIN:VEVENT", "UID:1"]
    lines += [f"{name}:20260401T160000Z" for name in ("DTSTAMP", "DTSTART")]
    return LINE_END.join([*lines, f"SUMMARY:{summary}", "END:VEVENT", "END:VCALENDAR", ""])


@given(TEXTS)
@example("a;b,c\\d\\n\ne")
@example("ж" * 500)
def test_a_text_comes_out_as_it_went_in(text: str) -> None:
    text = text.replace(LINE_END, "")
    text = text.encode("utf-8", "replace").decode()
    lines = unfolded(calendar_of(event(f"{ical(text)}")).text.encode())
    assert len(lines) == 11
    expected = re.sub("\r\n|[\r\x0b\x0c\x85\u2028\u2029]", "\n", text)
    expected = re.sub("[\x00-\x08\x0e-\x1f\x7f-\x9f]", "", expected)
    assert unescaped(lines[8].removeprefix("SUMMARY:")) == expected


@given(TEXTS)
def test_whatever_a_value_holds_it_adds_no_line(text: str) -> None:
    text = text.replace(LINE_END, "").encode("utf-8", "replace").decode()
    try:
        calendar = calendar_of(event(text))
    except CalendarError:
        return
    assert len(unfolded(calendar.text.encode())) == 11


def test_lines_that_are_folded_already_are_folded_anew() -> None:
    folded = event("a" * 70).replace("a" * 70, f"{'a' * 20}{LINE_END} {'a' * 60}{LINE_END}\tb")
    (summary,) = [line for line in unfolded(calendar_of(folded).text.encode()) if line.startswith("SUMMARY")]
    assert summary == f"SUMMARY:{'a' * 80}b"


def test_nothing_is_no_text() -> None:
    assert ical(None) is None
    assert ical_param(None) is None
    assert ical(5) == "5"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ('Ann "the elder" Lee; Jr., x:y', "\"Ann ^'the elder^' Lee; Jr., x:y\""),
        ("a^b\r\nX-EVIL:1\x07", '"a^^b^nX-EVIL:1"'),
        ("", '""'),
    ],
)
def test_a_parameter_is_in_quotes_and_ends_where_it_should(name: str, written: str) -> None:
    assert ical_param(name) == written
