"""Dates are read in the one way in which they are written, and written as the template asks."""

from __future__ import annotations

import contextlib
import datetime as calendar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.templating.dates import date, datetime
from campaign.templating.numbers import Unreadable
from tests.templating.test_numbers import refused, rendered

MONATE = ("Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober",
          "November", "Dezember")  # fmt: skip


@pytest.mark.parametrize(
    ("text", "form", "said"),
    [
        ("2026-03-20", "%d.%m.%Y", "20.03.2026"),
        ("2026-03-05", "%-d.%-m.%y", "5.3.26"),
        ("2026-03-20 14:30", "%d.%m.%Y", "20.03.2026"),
        ("2026-03-20T14:30:00Z", "%d.%m.%Y", "20.03.2026"),
        ("20.3.2026", "%Y-%m-%d", "2026-03-20"),
        ("20. 03. 2026", "%Y-%m-%d", "2026-03-20"),
        (" 2026-03-20 ", "%A, %-d %B %Y", "Friday, 20 March 2026"),
        ("2026-03-20", "%a %b %j %u %G-W%V 100%%", "Fri Mar 079 5 2026-W12 100%"),
        ("0999-03-20", "%Y", "0999"),
    ],
)
def test_dates(text: str, form: str, said: str) -> None:
    assert date(text, form) == said


@pytest.mark.parametrize(
    ("text", "form", "said"),
    [
        ("2026-03-20 14:30", "%d.%m.%Y %H:%M", "20.03.2026 14:30"),
        ("2026-03-20T04:05:06.789+01:00", "%-I:%M:%S %p", "4:05:06 AM"),
        ("20.3.2026, 0:15", "%I %p", "12 AM"),
        ("20.3.2026 12:15", "%-I %p", "12 PM"),
    ],
)
def test_times(text: str, form: str, said: str) -> None:
    assert datetime(text, form) == said


def test_the_defaults_are_iso_8601() -> None:
    assert date("20.3.2026") == "2026-03-20"
    assert datetime("20.3.2026 9:05") == "2026-03-20 09:05"


def test_names_of_months_are_an_argument() -> None:
    assert date("2026-03-20", "%-d. %B", months=MONATE) == "20. März"
    assert date("2026-03-20", "%A", days=[str(day) for day in range(7)]) == "4"


def test_other_ways_of_writing_are_told() -> None:
    assert date("03/04/2026", "%d.%m.%Y", read="%m/%d/%Y") == "04.03.2026"
    assert date("03/04/2026", "%d.%m.%Y", read="%d/%m/%Y") == "03.04.2026"
    assert datetime("3.4.26 7:08", read="%d.%m.%y %H:%M") == "2026-04-03 07:08"


def test_a_birthday_without_its_year() -> None:
    assert date("20.03.", "%-d %B", read="%d.%m.") == "20 March"
    assert date("29.02.", "%d/%m", read="%d.%m.") == "29/02"
    assert datetime("29.2. 7:08", "%d.%m. %H:%M", read="%d.%m. %H:%M") == "29.02. 07:08"


def test_what_yaml_read_as_a_date() -> None:
    assert date(calendar.date(2026, 3, 20), "%d.%m.%Y") == "20.03.2026"
    assert datetime(calendar.datetime(2026, 3, 20, 9, 5)) == "2026-03-20 09:05"


@given(st.dates(), st.sampled_from(["%Y-%m-%d", "%-d.%-m.%Y", "%d.%m.%Y"]))
def test_what_is_written_is_read_back(day: calendar.date, form: str) -> None:
    assert date(date(day, form)) == day.isoformat()


@given(st.datetimes())
def test_digits_are_those_of_python(at: calendar.datetime) -> None:
    for directive in "dmyjHIMSGVupaAbB":
        assert datetime(at, f"%{directive}") == at.strftime(f"%{directive}").zfill(
            4 if directive == "G" else 0
        )
    assert datetime(at, "%Y") == f"{at.year:04}"


@given(st.text(max_size=20))
def test_any_text_is_a_date_or_unreadable(text: str) -> None:
    for reader in (date, datetime):
        with contextlib.suppress(Unreadable):
            assert reader(text)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "{{ row['Fällig am'].strftime('%d.%m.%Y') }}",
            "a cell is text, and row['Fällig am'] has no 'strftime';"
            " write {{ row['Fällig am']|date('%d.%m.%Y') }}, or |datetime",
        ),
        ("{{ Betrag.year }}", "a cell is text, and Betrag has no 'year'; write {{ Betrag|date("),
        ("{{ rate|string|date }}", "'1.5' is no date; say how it is written: |date('%d.%m.%Y', read="),
        ("{{ Betrag|date }}", "Betrag: '03/04/2026' may be more than one date; say how it is"),
        ("{{ Netto|date }}", "Netto: '2026-02-30' is no date: there is no such day, or no such time"),
        ("{{ email|date }}", "email: a blank text is no date"),
        ("{{ row['Fällig am']|datetime }}", "Fällig am: '2026-03-20' has no time of day; |date writes"),
        ("{{ Netto|date(read='%d/%m/%Y') }}", "Netto: '2026-02-30' is no date that is written %d/%m/%Y"),
        ("{{ row['Fällig am']|date('%H:%M') }}", "a date has no time of day; |datetime has"),
        ("{{ row['Fällig am']|date('%Q') }}", "the format '%Q' has %Q; there are %"),
        ("{{ row['Fällig am']|date('%999999999d') }}", "has %9; there are"),
        ("{{ row['Fällig am']|date('x' * 101) }}", "a text of at most 100 characters"),
        ("{{ row['Fällig am']|date(months=['x']) }}", "months is a list of 12 names"),
        ("{{ row['Fällig am']|date(read='%d %d') }}", "cannot be used to read a date"),
        ("{{ '20.3.'|date(read='%d.%m.') }}", "read='%d.%m.' reads no year, and '%Y-%m-%d' writes %Y"),
        ("{{ '20.3.'|date('%a, %d.%m.', read='%d.%m.') }}", "no year, and '%a, %d.%m.' writes %a, which"),
        ("{{ row['Fällig am']|date(read='%Q') }}", "read='%Q': 'Q' is a bad directive"),
        ("{{ ('1' * 200)|date }}", "is no date"),
    ],
)  # fmt: skip
def test_errors_name_the_column(source: str, said: str) -> None:
    assert said in refused(source, Betrag="03/04/2026", Netto="2026-02-30", Fällig_am="2026-03-20")


def test_in_a_template() -> None:
    assert rendered("{{ row['Fällig am']|date('%d.%m.%Y') }}", Fällig_am="2026-03-20") == "20.03.2026"
