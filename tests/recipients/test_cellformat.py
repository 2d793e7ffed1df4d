"""A number and its format give what a sheet shows."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from campaign.recipients.cellformat import moment_shown, shown, text_shown


def serial(moment: dt.datetime) -> float:
    return (moment - dt.datetime(1899, 12, 30)) / dt.timedelta(days=1)


@pytest.mark.parametrize(
    ("number", "number_format", "text"),
    [
        (7, "000", "007"),
        (7.0, "General", "7"),
        (7.0, "", "7"),
        (12.5, "0.00", "12.50"),
        (1234567.891, "#,##0.00", "1,234,567.89"),
        (0.1 + 0.2, "General", "0.3"),
        (491234567890, "General", "491234567890"),
        (1234.5, '#,##0.00 "€"', "1,234.50 €"),
        (1234.5, "[$€-407] #,##0.00", "€ 1,234.50"),
        (-3, "0;(0)", "(3)"),
        (-3, "0", "-3"),
        (0, '0;-0;"none"', "none"),
        (0.256, "0%", "26%"),
        (0.256, "0.0%", "25.6%"),
        (1500000, '0.0,,"M"', "1.5M"),
        (12345.678, "0.00E+00", "1.23E+04"),
        (0.5, "# ?/?", "0.5"),
        (2.5, "0", "3"),
        (0.5, "#.##", ".5"),
        (5, "#.##", "5."),
        (1e-7, "General", "0.0000001"),
        (1e22, "General", "1e+22"),
        (12345, "00\\-000", "12-345"),
        (1234, "#,##0;[Red]-#,##0", "1,234"),
        (-1234, "#,##0;[Red]-#,##0", "-1,234"),
        (44, "_(* #,##0_)", "44"),
        (5, '"a"', "a"),
        (5, "@", "5"),
        (5, ";;;", ""),
        (-5, "0;", ""),
        (-0.001, "0.00", "0.00"),
        (5551234567, "[<=9999999]###-####;(###) ###-####", "(555) 123-4567"),
        (5551234, "[<=9999999]###-####;(###) ###-####", "555-1234"),
        (1, '[=0]"none";[=1]"one";0', "one"),
        (2, '[=0]"none";[=1]"one";0', "2"),
        (-2, "[Red][<0]-0.0;[Blue]0.0", "-2.0"),
        (-2, '[>0]0;[<0]"minus" 0;0', "minus 2"),
        (5, "[>9]0.0", "5"),
        (-1234.5, "[$€-407] #,##0.00", "-€ 1,234.50"),
        (-1, '"Week "0', "-Week 1"),
        (5, 'General" pcs"', "5 pcs"),
        (1e300, "0.00%", "1" + "0" * 302 + ".00%"),
    ],
)
def test_numbers(number: float, number_format: str, text: str) -> None:
    assert shown(number, number_format) == text


@pytest.mark.parametrize(
    ("number_format", "text"),
    [
        ("General", " Ann"),
        ("@", " Ann"),
        ("yyyy-mm-dd;@", " Ann"),
        ("0.00", " Ann"),
        ('0;-0;0;"Dear "@', "Dear  Ann"),
        ('_($* #,##0.00_);_($* (#,##0.00);_($* "-"??_);_(@_)', " Ann"),
        ('@" & Co"', " Ann & Co"),
        ("0;0;0;General", " Ann"),
        (";;;", ""),
    ],
)
def test_texts(number_format: str, text: str) -> None:
    assert text_shown(" Ann", number_format) == text


@pytest.mark.parametrize(
    ("moment", "number_format", "text"),
    [
        (dt.datetime(2026, 11, 28), "yyyy-mm-dd", "2026-11-28"),
        (dt.datetime(2026, 11, 28), "m/d/yyyy", "11/28/2026"),
        (dt.datetime(2026, 11, 28, 9, 5), "dd.mm.yyyy hh:mm", "28.11.2026 09:05"),
        (dt.datetime(2026, 11, 28, 15, 5, 7), "h:mm:ss AM/PM", "3:05:07 PM"),
        (dt.datetime(2026, 11, 28, 0, 5), "h:mm a/p", "12:05 A"),
        (dt.datetime(2026, 3, 1), "[$-407]d. mmmm yyyy", "1. March 2026"),
        (dt.datetime(2026, 3, 1), "dddd, d mmm yy;@", "Sunday, 1 Mar 26"),
        (dt.datetime(2026, 1, 2, 3, 4, 5, 600000), "ss.00", "05.60"),
        (dt.datetime(2026, 3, 1), 'd"th of" mmmmm', "1th of M"),
        (dt.datetime(1900, 3, 1), "yyyy-mm-dd", "1900-03-01"),
        (dt.datetime(9999, 12, 31, 23, 59), "yyyy-mm-dd h:mm", "9999-12-31 23:59"),
    ],
)
def test_moments(moment: dt.datetime, number_format: str, text: str) -> None:
    assert shown(serial(moment), number_format) == text
    assert moment_shown(moment, number_format) == text


@pytest.mark.parametrize(
    ("days", "number_format", "text"),
    [
        ((30 * 60 + 5) / 1440, "[h]:mm", "30:05"),
        ((30 * 60 + 5) / 1440, "[hh]:mm:ss", "30:05:00"),
        (90 / 86400, "[mm]:ss", "01:30"),
        (90.5 / 86400, "[s].0", "90.5"),
        (59.9 / 86400, "[h]:mm:ss", "0:01:00"),
        (-0.5, "[h]:mm", "-12:00"),
        ((9 * 60 + 5) / 1440, "h:mm", "9:05"),
        (1, "yyyy-mm-dd", "1900-01-01"),
        (59, "yyyy-mm-dd", "1900-02-28"),
        (-1, "yyyy-mm-dd", "-1"),
        (3e6, "yyyy-mm-dd", "3000000"),
    ],
)
def test_times_and_the_ends_of_the_calendar(days: float, number_format: str, text: str) -> None:
    assert shown(days, number_format) == text


def test_a_workbook_that_counts_from_1904() -> None:
    days = (dt.datetime(2026, 11, 28) - dt.datetime(1904, 1, 1)).days
    assert shown(days, "yyyy-mm-dd", since_1904=True) == "2026-11-28"
    assert shown(2_957_004, "yyyy-mm-dd", since_1904=True) == "2957004"


def test_a_moment_without_a_format_is_iso() -> None:
    assert moment_shown(dt.datetime(2026, 1, 2), "General") == "2026-01-02"
    assert moment_shown(dt.datetime(2026, 1, 2, 3, 4), "0.00") == "2026-01-02 03:04:00"


@pytest.mark.parametrize(
    ("number_format", "text"),
    [
        ("[$-407]d/ mmmm yyyy;@", "28. November 2026"),
        ("[$-de-DE]dd/mm/yyyy", "28.11.2026"),
        ("[$-de]dd/mm/yyyy", "28.11.2026"),
        ("[$-1010415]dd/mm/yy", "28.11.26"),
        ("[$-413]dd/mm/yyyy", "28-11-2026"),
        ("[$-813]d/mm/yyyy", "28/11/2026"),
        ("[$-409]m/d/yyyy", "11/28/2026"),
        ("[$-407]dd\\/mm\\/yyyy", "28/11/2026"),
        ("dd/mm/yyyy", "28/11/2026"),
        ("[$-F800]dddd, mmmm dd, yyyy", "Saturday, November 28, 2026"),
    ],
)
def test_what_stands_between_the_parts_of_a_date(number_format: str, text: str) -> None:
    assert shown(46354, number_format) == text


@given(
    number=st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**15), 10**15),
    number_format=st.text('0#?,.%/@;_*\\"[]$-EhmsydAPM+ GeneralRed€:()', max_size=20)
    | st.text(max_size=20)
    | st.sampled_from(["0" * 255, "%" * 254 + "0", "0" + "," * 254, "0." + "0" * 253]),
    since_1904=st.booleans(),
)
@example(number=1.7976931348623157e308, number_format="%" * 254 + "0", since_1904=False)
@example(number=5e-324, number_format="0" + "," * 254, since_1904=False)
def test_every_number_has_a_text_in_every_format(number: float, number_format: str, since_1904: bool) -> None:
    assert isinstance(shown(number, number_format, since_1904=since_1904), str)


@given(
    st.datetimes(dt.datetime(1900, 3, 1), dt.datetime(9999, 12, 30)).map(lambda m: m.replace(microsecond=0))
)
def test_every_second_is_shown(moment: dt.datetime) -> None:
    assert shown(serial(moment), "yyyy-mm-dd hh:mm:ss") == moment.isoformat(" ")


@given(st.integers(-(10**15), 10**15))
def test_whole_numbers_are_shown_whole(number: int) -> None:
    for given_as in (number, float(number)):
        assert shown(given_as, "General") == shown(given_as, "0") == str(number)
        assert shown(given_as, "#,##0") == f"{number:,}"
