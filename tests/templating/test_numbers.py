"""A cell's text is a number or an error; what is printed on an invoice is never a guess."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from campaign.errors import Problem, UserError
from campaign.templating.compiled import compile_text
from campaign.templating.names import ROW, Names
from campaign.templating.numbers import Unreadable, money, number, real, whole
from campaign.templating.sandbox import environment

GERMAN = "Betrag: '1.234,50 €' is no number; |number(decimal=',') reads it"
COLUMNS = ("email", "Betrag", "Netto", "Fällig am")


def rendered(source: str, **cells: str) -> str:
    """What a text body gives for one row."""
    row = dict.fromkeys(COLUMNS, "") | {name.replace("_", " "): cell for name, cell in cells.items()}
    env = environment(Path(), html=False)
    place = Problem("", file="spring.yaml", line=7, path="subject")
    context = {**row, ROW: row, "rate": 1.5}
    return compile_text(source, env=env, place=place, names=Names(COLUMNS, frozenset({"rate"}))).render(
        context
    )


def refused(source: str, **cells: str) -> str:
    with pytest.raises(UserError) as caught:
        rendered(source, **cells)
    (problem,) = caught.value.problems
    return str(problem).removeprefix("spring.yaml:7: subject: ")


@pytest.mark.parametrize(
    ("text", "decimal", "value"),
    [
        ("1.234,50 €", ",", 1234.5),
        ("1.234.567,5", ",", 1234567.5),
        ("1.234", ",", 1234),
        ("1'234.50", ".", 1234.5),
        ("CHF 1’234.50", ".", 1234.5),
        ("1 234,50", ",", 1234.5),
        ("1\u202f234,50\u00a0€", ",", 1234.5),
        ("€1,234.50", ".", 1234.5),
        ("US$ 12", ".", 12),
        ("12 kr.", ".", 12),
        ("12,- €", ",", 12),
        ("12,– €", ",", 12),
        ("-3.5", ".", -3.5),
        ("−3,5 EUR", ",", -3.5),
        ("€-3", ".", -3),
        ("-€ 3", ".", -3),
        (".5", ".", 0.5),
        (" 18 ", ".", 18),
        ("18.00", ".", 18.0),
        ("₹12,34,567.50", ".", 1234567.5),
        ("007", ".", 7),
    ],
)  # fmt: skip
def test_numbers_as_people_write_them(text: str, decimal: str, value: float) -> None:
    found = number(text, decimal)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "decimal"),
    [
        ("", "."), ("  ", ","), ("€", "."), ("abc", "."), ("1,5", "."), ("1.5", ","), ("1.234.5", ","),
        ("1,23,4", "."), ("1.234'567", "."), ("1,2,3", "."), ("1 2", "."), ("12 Mio. €", "."),
        ("12 MIO", "."), ("12k", "."), ("19 %", "."), ("12 kg", "."), ("1e5", "."), ("nan", "."),
        ("inf", "."), ("--3", "."), ("-3-", "."), ("1_000", "."), ("٣", "."), ("12.", "."),
        ("1" * 101, "."), ("1.12.2026", ","), ("2026-03-20", "."), ("0x10", "."), ("€ 3 €€", "."),
    ],
)  # fmt: skip
def test_what_is_no_number(text: str, decimal: str) -> None:
    with pytest.raises(Unreadable):
        number(text, decimal)


@given(
    st.decimals(-(10**12), 10**12, places=2),
    st.sampled_from([",", "."]),
    st.sampled_from([None, "", " ", "'"]),
)
@example(Decimal("-0.01"), ",", None)
def test_money_is_read_back(amount: Decimal, decimal: str, group: str | None) -> None:
    written = money(float(amount), decimal, group)
    read = number(written, decimal)
    assert read == float(amount)
    assert money(read, decimal, group) == written


@given(st.text(max_size=30), st.sampled_from([",", "."]))
def test_any_text_is_a_number_or_unreadable(text: str, decimal: str) -> None:
    with contextlib.suppress(Unreadable):
        assert isinstance(number(text, decimal), int | float)
    for reader in (whole, real):
        with contextlib.suppress(Unreadable):
            assert isinstance(reader(text), int | float)


@given(st.integers(-(10**98), 10**98))
def test_whole_numbers_of_any_length_keep_their_digits(value: int) -> None:
    assert number(str(value)) == whole(str(value)) == value


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ 1234.5|money }}", "1,234.50"),
        ("{{ 1234567.5|money(decimal=',') }}", "1.234.567,50"),
        ("{{ 1234.5|money(',', ' ') }}", "1 234,50"),
        ("{{ 1234.5|money(group='') }}", "1234.50"),
        ("{{ 2.675|money }}", "2.68"),
        ("{{ (-2.675)|money }}", "-2.68"),
        ("{{ (-0.001)|money }}", "0.00"),
        ("{{ 1234.5|money(places=0) }}", "1,235"),
        ("{{ (1234.5 * 1.19)|money }}", "1,469.06"),
        ("{{ 3|money }}", "3.00"),
        ("{{ '1,234.5'|money }}", "1,234.50"),
        ("{{ (Betrag|number(decimal=',') * rate)|money(decimal=',') }} €", "1.851,75 €"),
        ("{{ Netto|number }}", "18"),
        ("{{ Netto|int + 1 }} {{ Netto|float }}", "19 18.0"),
        ("{{ '12.7'|int }} {{ 'ff'|int(base=16) }} {{ true|int }}", "12 255 1"),
        ("{{ ''|float(0) }} {{ 'x'|int(default=3) }} {{ 'x'|int(none) is none }}", "0 3 True"),
        ("{{ [ '1', '2' ]|map('int')|sum }}", "3"),
    ],
)  # fmt: skip
def test_what_templates_print(source: str, said: str) -> None:
    assert rendered(source, Betrag="1.234,50 €", Netto="18") == said


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('{{ "%.2f"|format(Betrag|float) }}', GERMAN),
        ("{{ row['Betrag']|int }}", GERMAN),
        ("{{ Betrag|replace('€', '')|trim|float }}", GERMAN.replace(" €", "")),
        ("{{ Betrag|money(decimal=',') }}", GERMAN),
        ("{{ Netto|number }}", "Netto: a blank text is no number"),
        ("{{ Netto|number }}{{ row['Fällig am']|date }}", "Netto: a blank text is no number"),
        ("{{ email|number }}", "email: 'ann@x.test' is no number"),
        (
            "{% macro eur(x) %}{{ x|number }}{% endmacro %}{{ eur(Betrag) }}",
            GERMAN,
        ),
        ("{{ 'x'|float }}", "'x' is no number"),
        ("{{ 'nan'|float }}", "'nan' is no number"),
        ("{{ '1e999'|float }}", "'1e999' is no number"),
        ("{{ none|float }}", "a null value is no number"),
        ("{{ Betrag|number(decimal='x') }}", "the template cannot do this: number: decimal is ',' or '.'"),
        ("{{ 1|money(places=99) }}", "the template cannot do this: money: places is a number from 0 to 20"),
        ("{{ 1|money(decimal='x' * 9) }}", "money: decimal and group are signs such as ',' and '.'"),
        ("{{ (10 ** 200)|money }}", "is no amount of money"),
        ("{{ Betrag * 1.19 }}", "(cells are text: write Betrag|number to calculate)"),
        ("{{ row['Fällig am'] + 1 }}", "(cells are text: write row['Fällig am']|number to calculate)"),
        ("{{ '{:.2f}'.format(Betrag) }}", "(cells are text: write Betrag|number to calculate)"),
        ("{% if Betrag > 100 %}x{% endif %}", "(cells are text: write Betrag|number to calculate)"),
        ("{{ rate }}\n\n{{ Netto }}{{\n Betrag - 1 }}", "Betrag|number to calculate)"),
    ],
)  # fmt: skip
def test_errors_name_the_column(source: str, said: str) -> None:
    assert said in refused(source, email="ann@x.test", Betrag="1.234,50 €")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ ([0.1] * 10)|sum }} {{ [1e16, 1.0, -1e16]|sum }}", "1.0 1.0"),
        ("{{ [0.1, 0.2]|sum(start=0.3) }} {{ [0.5, 2, true]|sum }} {{ []|sum(start=1.5) }}", "0.6 3.5 1.5"),
        ("{{ [{'net': 0.1}, {'net': 0.2}, {'net': 0.3}]|sum(attribute='net') }}", "0.6"),
        ("{{ [1, 2]|sum }} {{ []|sum }} {{ [[1], [2]]|sum(start=[])|join }}", "3 0 12"),
        (f"{{{{ [{10**400}, 1]|sum == {10**400 + 1} }}}}", "True"),
    ],
)
def test_a_sum_is_the_same_on_every_python(source: str, text: str) -> None:
    """Since 3.12, Python makes up for what floats lose when they are added."""
    assert rendered(source) == text


def test_a_sum_of_texts_is_an_error() -> None:
    assert "(cells are text: write Betrag|number to calculate)" in refused(
        "{{ [0.5, Betrag]|sum }}", Betrag="1"
    )


def test_in_an_html_part_too() -> None:
    env = environment(Path(), html=True)
    names = Names(("Betrag",))
    text = compile_text("{{ Betrag|number|money }}", env=env, place=Problem(""), names=names)
    assert text.render({"Betrag": "1,5\u00a0&", ROW: {}} | {"Betrag": "1500"}) == "1,500.00"
