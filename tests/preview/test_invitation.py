"""What a preview says of an invitation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.preview.invitation import Invitation, invitation


def calendar(*lines: str, method: str = "REQUEST") -> str:
    return "\r\n".join(
        ["BEGIN:VCALENDAR", f"METHOD:{method}", "BEGIN:VEVENT", *lines, "END:VEVENT", "END:VCALENDAR", ""]
    )


def test_what_when_where_and_who() -> None:
    made = invitation(
        calendar(
            r"SUMMARY:Tea\, with cake\;",
            "  and more",
            "DTSTART:20260412T140000Z",
            "DTEND:20260412T160000Z",
            'ORGANIZER;CN="Marit: W":mailto:marit@x.test',
            r"LOCATION:Lane 12\nTown",
            "BEGIN:VALARM",
            "DESCRIPTION:x",
            "END:VALARM",
        )
    )
    assert made == Invitation(
        "Tea, with cake; and more", "2026-04-12 14:00 UTC to 16:00 UTC", "Lane 12 Town", "marit@x.test", ""
    )


@pytest.mark.parametrize(
    ("start", "end", "when"),
    [
        ("DTSTART;VALUE=DATE:20260412", "", "2026-04-12"),
        ("DTSTART;VALUE=DATE:20260412", "DTEND;VALUE=DATE:20260414", "2026-04-12 to 2026-04-14"),
        ("DTSTART;TZID=Europe/Oslo:20260412T140000", "", "2026-04-12 14:00 Europe/Oslo"),
        ("DTSTART:20260412T230000", "DTEND:20260413T010000", "2026-04-12 23:00 to 2026-04-13 01:00"),
        ("DTSTART:soon", "", "soon"),
        ("X:1", "", ""),
    ],
)
def test_times_are_shown_as_written(start: str, end: str, when: str) -> None:
    assert invitation(calendar(start, *([end] if end else []))).when == when


def test_a_zone_s_own_times_are_not_the_event_s() -> None:
    zone = ("BEGIN:VTIMEZONE", "BEGIN:STANDARD", "DTSTART:19701025T030000", "END:STANDARD", "END:VTIMEZONE")
    text = calendar("SUMMARY:Tea", "DTSTART:20260412T140000Z").replace(
        "BEGIN:VEVENT", "\r\n".join([*zone, "BEGIN:VEVENT"])
    )
    assert invitation(text).when == "2026-04-12 14:00 UTC"


def test_it_says_that_it_is_cancelled() -> None:
    assert invitation(calendar("SUMMARY:Tea", method="cancel")).lines == ["Tea (cancelled)"]
    assert invitation(calendar()).lines == ["(no name)"]


@given(
    st.lists(
        st.sampled_from(["BEGIN:VEVENT", "END:VEVENT", "END:X", "SUMMARY:a", " b", "DTSTART:2026", ":", ""])
    )
)
def test_whatever_it_holds_has_a_first_line(lines: list[str]) -> None:
    assert invitation("\r\n".join(lines)).lines[0]
