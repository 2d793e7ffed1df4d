"""What a template may print: texts, numbers and dates; never Python's own notation for anything else."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path

import pytest

from campaign.errors import Problem, UserError
from campaign.model import RESERVED
from campaign.templating.compiled import compile_text
from campaign.templating.names import ROW, Names
from campaign.templating.sandbox import environment

PLACE = Problem("", file="spring.yaml", line=7, column=10, path="subject")
CELLS = {"email": "ann@x.test", "name": "Ann Lee", "First Name": "Ann"}
VARS: Mapping[str, object] = {
    "tags": ["a", "b"],
    "pairs": [["a", "b"], ["c"]],
    "prices": {"basic": 5, "pro plan": 9},
    "people": [{"name": "Ann"}, {"name": "Bo"}],
    "day": datetime.date(2026, 3, 20),
    "nothing": None,
}
NAMES = Names(tuple(CELLS), RESERVED - {ROW} | frozenset(VARS))


def render(source: str, kind: str = "text") -> str:
    env = environment(Path(), html=kind == "html", markdown=kind == "markdown")
    text = compile_text(source, env=env, place=PLACE, names=NAMES)
    return text.render({"email": CELLS["email"], "name": CELLS["name"], ROW: dict(CELLS), **VARS})


LIST = r"(this|tags) is a list, and would be printed as \['…', '…'\]; write \|join\(', '\) behind it"


@pytest.mark.parametrize("kind", ["text", "html", "markdown"])
@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ name.split() }}", LIST),
        ("{{ tags }}", LIST),
        ("{{ pairs }}", r"pairs is a list of several values each, .* write \{% for one in pairs %\}"),
        ("{{ people|list }}", r"this is a list of several values each, .* write \{% for one in … %\}"),
        ("{{ (name, email) }}", r"write \|join\(', '\)"),
        ("{{ people|groupby('name')|first }}", r"write \|join\(', '\)"),
        ("{{ name.partition(' ') }}", r"write \|join\(', '\)"),
        ("{{ row.keys() }}", r"write \|join\(', '\)"),
        ("{{ prices.values() }}", r"write \|join\(', '\)"),
        ("{{ range(3) }}", r"write \|join\(', '\)"),
        ("{{ tags|map('upper') }}", r"one by one; write \|join"),
        ("{{ tags|select }}", r"one by one; write \|join"),
        ("{{ row }}", r"row has several values, .*; write row\['email'\] or row\['name'\] or row\['First"),
        ("{{ prices }}", r"prices has several values, .*; write prices\['basic'\] or prices\['pro plan'\]"),
        ("{{ {} }}", r"has several values, and is none itself"),
        ("{% for one in people %}{{ one }}{% endfor %}", r"this has several values, .* \['name'\] behind it"),
        ("{{ namespace }}", r"Namespace is a function"),
        ("{% set ns = namespace(n=1) %}{{ ns }}", "a Namespace would be printed as Python shows it"),
        ("{{ cycler('a', 'b') }}", r"write \.next\(\)"),
        ("{{ joiner(', ') }}", "is a function"),
        ("{% for x in tags %}{{ loop }}{% endfor %}", r"write \{\{ loop\.index \}\}"),
        ("{{ (-1) ** 0.5 }}", "a complex would be printed as Python shows it"),
        ("{{ 'Dear ' ~ name.split() }}", LIST),
        ("{{ 'Dear ' ~ ['a'] }}", LIST),
        ("{{ 'Dear ' ~ nothing }}", "printed as None"),
        ("{{ tags ~ ('<b>'|safe) }}", LIST),
        ("{% set x = 'a' ~ tags %}{{ x|upper }}", LIST),
        ("{% if 'a' ~ tags %}x{% endif %}", LIST),
        ("{{ tags|string }}", LIST),
        ("{{ tags|upper }}", LIST),
        ("{{ tags|lower|title }}", LIST),
        ("{{ tags|capitalize }}", LIST),
        ("{{ tags|trim }}", LIST),
        ("{{ tags|replace('[', '') }}", LIST),
        ("{{ tags|striptags }}", LIST),
        ("{{ tags|center(40) }}", LIST),
        ("{{ tags|wordwrap(40) }}", LIST),
        ("{{ tags|indent }}", LIST),
        ("{{ tags|truncate(5) }}", LIST),
        ("{{ tags|urlize }}", LIST),
        ("{{ tags|e }}", LIST),
        ("{{ tags|forceescape }}", LIST),
        ("{{ tags|safe }}", LIST),
        ("{{ tags|ical }}", LIST),
        ("{{ tags|ical_param }}", LIST),
        ("{{ nothing|upper }}", "printed as None"),
        ("{{ people|map(attribute='name')|string }}", "one by one"),
        ("{{ '%s!' % tags }}", LIST),
        ("{{ '%s %s' % (name, tags) }}", LIST),
        ("{{ '%s' % row }}", r"row has several values"),
        ("{{ ('%s'|safe) % tags }}", LIST),
        ("{{ '%s %s'|format(name, tags) }}", LIST),
        ("{{ '%(a)s'|format(a=tags) }}", LIST),
        ("{{ '{} {}'.format(name, tags) }}", LIST),
        ("{{ '{a:}'.format(a=tags) }}", LIST),
        ("{{ pairs|join(', ') }}", LIST),
        ("{{ row.items()|join(', ') }}", r"write \|join\(', '\)"),
        ("{{ people|join(', ') }}", r"this has several values, .* \['name'\]"),
        ("{{ [name, nothing]|join(', ') }}", "printed as None"),
        ("{% macro greet(x) %}Hi {{ x }}{% endmacro %}{{ greet(tags) }}", LIST),
        ("{% macro box() %}{{ caller(tags) }}{% endmacro %}{% call(x) box() %}{{ x }}{% endcall %}", LIST),
        ("{% set x %}{{ tags }}{% endset %}{{ x }}", LIST),
        ("{% filter upper %}{{ tags }}{% endfilter %}", LIST),
        ("{% autoescape true %}{{ 'a' ~ tags }}{% endautoescape %}", LIST),
    ],
)  # fmt: skip
def test_python_s_notation_is_not_mailed(source: str, words: str, kind: str) -> None:
    with pytest.raises(UserError, match=rf"^spring\.yaml:7:10: subject: .*{words}"):
        render(source, kind)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ name }}{{ 1 }}{{ 1.5 }}{{ true }}{{ 1|number + 1 }}", "Ann Lee11.5True2"),
        ("{{ day }} {{ day.year }} {{ day - day }}", "2026-03-20 2026 0:00:00"),
        ("{{ tags|join(', ') }}{{ tags|length }}{{ tags|first }}", "a, b2a"),
        ("{{ people|join(', ', attribute='name') }}", "Ann, Bo"),
        ("{{ people|map(attribute='name')|join(' and ') }}", "Ann and Bo"),
        ("{% for p in pairs %}{{ p|join('+') }};{% endfor %}", "a+b;c;"),
        ("{{ 'ab'|join('-') }}{{ [1, 2.5, true]|join(' ') }}{{ []|join }}", "a-b1 2.5 True"),
        ("{{ 'a' ~ 1 ~ name ~ true ~ 1.5 ~ day }}", "a1Ann LeeTrue1.52026-03-20"),
        ("{{ '%s is %d%%' % (name, 5) }}{{ '%(name)s' % row }}{{ 7 % 4 }}", "Ann Lee is 5%Ann Lee3"),
        ("{{ '%.2f'|format(3) }}{{ '%(n)s'|format(n=name) }}", "3.00Ann Lee"),
        ("{{ '{0[name]} {1.year}'.format(row, day) }}{{ '{:.1f}'.format(2) }}", "Ann Lee 20262.0"),
        ("{{ '{name}'.format_map(row) }}{{ '{p[basic]:d}'.format(p=prices) }}", "Ann Lee5"),
        ("{{ nothing or '' }}{{ nothing|default('x', true) }}{{ nothing|ical or 'y' }}", "xy"),
        ("{{ tags|tojson }}", '["a", "b"]'),
        ("{{ prices|length }}{{ row|length }}{{ 5|string|length }}", "231"),
        ("{{ 5|upper }}{{ day|string }}{{ 1.0|trim }}", "52026-03-201.0"),
        ("{% macro b(x) %}*{{ x }}*{{ caller() }}{% endmacro %}{% call b(1) %}c{% endcall %}", "*1*c"),
        ("{% if nothing|lower == 'pro' %}a{% else %}b{% endif %}{{ 'c' if 'a' in tags|string }}", "bc"),
        ("{% for x in tags %}{{ loop.index }}{{ loop.previtem|default }}{% endfor %}", "12a"),
    ],
)  # fmt: skip
def test_texts_numbers_and_dates_are_printed(source: str, expected: str) -> None:
    assert render(source) == expected


def test_what_is_safe_stays_so_when_it_is_joined() -> None:
    assert render("{{ email ~ ('<i>'|safe) ~ '<b>' }}{{ ['<i>'|safe, '<']|join('&') }}", "html") == (
        "ann@x.test<i>&lt;b&gt;<i>&amp;&lt;"
    )
    assert render("{{ '%s'|safe|format('<') }}{{ ('%s'|safe) % '<' }}", "html") == "&lt;&lt;"
    assert render("{{ '<'|e|upper }}{{ 'a<b'|replace('a', '>') }}", "html") == "&LT;&gt;&lt;b"
