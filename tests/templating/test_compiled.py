"""Templates are compiled once, and what is wrong with them is found before any row where it can be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from campaign.errors import Problem, UserError
from campaign.model import RESERVED
from campaign.templating.compiled import compile_file, compile_text
from campaign.templating.expressions import Condition, compile_condition
from campaign.templating.names import ROW, Names, row_context
from campaign.templating.sandbox import environment
from campaign.templating.text import Text

PLACE = Problem("", file="spring.yaml", line=7, column=10, path="templates.html")
COLUMNS = ("email", "first_name", "city", "First Name", "plan")
NAMES = Names(COLUMNS, RESERVED - {ROW} | {"site", "people"})
LISTING = "the list's columns are email, first_name, city, First Name, plan"
CELLS = {"email": "ann@x.test", "first_name": "Ann", "city": "", "First Name": "Ann B.", "plan": "pro"}


def context(**more: object) -> Mapping[str, object]:
    return {**CELLS, ROW: CELLS, "site": "x.test", "people": ["A", "B"], **more}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The campaign's folder, and where the person stands."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write(folder: Path) -> Callable[..., None]:
    def write(**files: str) -> None:
        for name, source in files.items():
            folder.joinpath(name.replace("_", ".", 1)).write_text(source, encoding="utf-8")

    return write


def inline(source: str, folder: Path, *, html: bool = False, names: Names = NAMES) -> Text:
    return compile_text(source, env=environment(folder, html=html), place=PLACE, names=names)


def file(name: str, folder: Path, *, html: bool = False, names: Names = NAMES) -> Text:
    return compile_file(name, env=environment(folder, html=html), place=PLACE, names=names)


def said(failing: Callable[[], object]) -> list[str]:
    """The lines that a person reads."""
    with pytest.raises(UserError) as caught:
        failing()
    return [str(problem) for problem in caught.value.problems]


class TestEscaping:
    """It follows the part, not the file's name."""

    def test_on_for_html_and_what_it_includes(self, folder: Path, write: Callable[..., None]) -> None:
        write(
            body_txt="{% include 'part.txt' %}{% import 'macros.j2' as m %}{{ m.b(first_name) }}",
            part_txt="<i>{{ first_name }}</i>",
            macros_j2="{% macro b(x) %}<b>{{ x }}</b>{% endmacro %}",
        )
        mean = context(first_name="<A&B>")
        escaped = "<i>&lt;A&amp;B&gt;</i><b>&lt;A&amp;B&gt;</b>"
        assert file("body.txt", folder, html=True).render(mean) == escaped

    def test_off_for_text_whatever_the_name(self, folder: Path, write: Callable[..., None]) -> None:
        write(body_html="Hi {{ first_name }}")
        assert file("body.html", folder).render(context(first_name="<A&B>")) == "Hi <A&B>"

    def test_safe_is_the_template_s_own_word(self, folder: Path) -> None:
        text = inline("{{ first_name }}{{ first_name|safe }}", folder, html=True)
        assert text.render(context(first_name="<b>")) == "&lt;b&gt;<b>"


class TestRendering:
    """Files together, names, and bytes as they stand in the file."""

    def test_extends_blocks_super_and_imports(self, folder: Path, write: Callable[..., None]) -> None:
        write(
            base_html="<{% block a %}base{% endblock %}{% block b %}{{ self.a() }}{% endblock %}>",
            body_html="{% extends 'base.html' %}{% from 'parts.j2' import greet %}"
            "{% block a %}{{ super() }}-{{ greet('x') }}{% endblock %}",
            parts_j2="{% macro greet(x) %}hi {{ x }}{% endmacro %}",
        )
        assert file("body.html", folder).render(context()) == "<base-hi xbase-hi x>"

    def test_columns_by_name_and_through_row(self, folder: Path) -> None:
        text = inline(
            "{{ first_name }}, {{ row['First Name'] }}, {{ row.city }}{{ row.get('plan') }}", folder
        )
        assert text.render(context()) == "Ann, Ann B., pro"

    def test_a_column_of_a_reserved_name_is_reached_through_row(self, folder: Path) -> None:
        names = Names(("email", "campaign"), frozenset({"campaign"}))
        text = inline("{{ campaign.name }} {{ row['campaign'] }} {{ row.campaign }}", folder, names=names)
        values = {"campaign": {"name": "spring"}, ROW: {"email": "", "campaign": "cell"}}
        assert text.render(values) == "spring cell cell"

    def test_a_constant_is_told(self, folder: Path) -> None:
        assert inline("Spring % {x} 'news'", folder).constant == "Spring % {x} 'news'"
        assert inline("Spring {# all #}", folder).constant is None

    def test_crlf_and_bom_and_the_last_line_break(self, folder: Path) -> None:
        (folder / "body.txt").write_bytes("\ufeffDear\r\n{{ first_name }}\r\n".encode())
        assert file("body.txt", folder).render(context()) == "Dear\nAnn\n"

    def test_a_loop_may_call_its_variable_row(self, folder: Path) -> None:
        text = inline("{% for row in people %}{{ row.x }}{{ row['y'] }}{% endfor %}", folder)
        assert text.render(context(people=[{"x": "1", "y": "2"}])) == "12"

    def test_sources_are_all_files_that_it_is_made_of(self, folder: Path, write: Callable[..., None]) -> None:
        write(
            body_txt="{% extends 'a.txt' %}",
            a_txt="{% include ['b.txt', 'none.txt'] %}{% include 'none.txt' ignore missing %}",
            b_txt="{% import 'c.txt' as c %}{% from 'd.txt' import x %}",
            c_txt="",
            d_txt="{% macro x() %}{% endmacro %}",
        )
        assert set(file("body.txt", folder).sources) == {"body.txt", "a.txt", "b.txt", "c.txt", "d.txt"}


class TestFoundBeforeAnyRow:
    """Syntax, names and files, all of them at once, each at its file and line."""

    def test_every_problem_of_every_file(self, folder: Path, write: Callable[..., None]) -> None:
        write(
            body_html="{% extends 'base.html' %}\n{% block a %}\n"
            "{{ frist_name }}{{ row['cty'] }}\n{% endblock %}",
            base_html="{% block a %}{% endblock %}\n{{ stie }}\n{% include 'gone.html' %}",
        )
        assert said(lambda: file("body.html", folder)) == [
            f"base.html:3: there is no file gone.html in the campaign's folder, {folder}",
            f"body.html:3: 'frist_name' is not defined; did you mean 'first_name'?; {LISTING}",
            f"body.html:3: the list has no column 'cty'; did you mean 'city'?; {LISTING}",
            f"base.html:2: 'stie' is not defined; did you mean 'site'?; {LISTING}",
        ]

    @pytest.mark.parametrize(
        ("source", "words"),
        [
            (
                "\n{% if plan %}",
                "2: template syntax: `{% if plan %}` is not closed: `{% endif %}` is missing",
            ),
            ("{{ first_name", "1: template syntax: `{{ first_name` is not closed"),
            ("{{ first_name|uper }}", "1: no filter is named 'uper'; did you mean 'upper'?"),
            ("{% if plan is strng %}{% endif %}", "1: no test is named 'strng'; did you mean 'string'?"),
            (
                "{% if city %}{{ city|uper }}{% endif %}",
                "1: no filter is named 'uper'; did you mean 'upper'?",
            ),
            ("{% endfor %}", "1: template syntax: `{% endfor %}` belongs to no `{% for … %}` above it"),
            ("{{ 'a' 'b' c d }}", "1: template syntax: expected `}}`, got 'c' (in `{{"),
            ("{% for a in x %}" * 25 + "{% endfor %}" * 25, "'x' is not defined"),
            ("{% for a in people %}" * 25 + "{% endfor %}" * 25, "nested too deeply"),
            ("{{ " + "-" * 5000 + "1 }}", "nested too deeply"),
            ("{{ " + "9" * 5000 + " }}", "cannot do this"),
        ],
    )
    def test_syntax(self, source: str, words: str, folder: Path, write: Callable[..., None]) -> None:
        write(body_txt=source)
        (line,) = said(lambda: file("body.txt", folder))
        assert words in line
        assert line.startswith(("body.txt:", "spring.yaml:7:10: templates.html: "))

    def test_inline_stands_in_the_campaign_file(self, folder: Path) -> None:
        (line,) = said(lambda: inline("Hi\n\n{{ first_nam }}", folder))
        assert line.startswith("spring.yaml:7:10: templates.html: 'first_nam' is not defined; did you mean")

    @pytest.mark.parametrize(
        ("source", "hint"),
        [
            ("{{ first_nam }}", "did you mean 'first_name'?"),
            ("{{ First_Name }}", "write row['First Name']"),
            ("{{ firstName }}", "write row['First Name']"),
            ("{{ row['first name'] }}", "did you mean 'first_name'?"),
            ("{{ row.frist_name }}", "the list has no column 'frist_name'; did you mean 'first_name'?"),
            (
                "{% if plan == pro %}x{% endif %}",
                "'pro' is not defined; write 'pro', with quotes, if it is a text",
            ),
            ("{% if plan in [pro, city] %}x{% endif %}", "write 'pro', with quotes, if it is a text"),
            ("{% if plan AND city %}x{% endif %}", "write `and` in small letters"),
            ("{% if plan > 2024-01-01 x %}x{% endif %}", "put a date in quotes: '2024-01-01'"),
            (
                "{{ upper(first_name) }}",
                "upper is no function here; upper is a filter: write first_name|upper",
            ),
            ("{{ len(row['First Name']) }}", "length is a filter: write row['First Name']|length"),
            ("{{ date(city, '%d') }}", "date is a filter: write city|date"),
            ("{{ upper }}", "'upper' is not defined; the list's columns"),
            (
                '{{ "first_name" }}',
                "'first_name' in quotes is this word itself; the column is {{ first_name }}",
            ),
            ("{{ 'First Name'|upper }}", "is this word itself; the column is {{ row['First Name'] }}"),
            ("{{ now() }}", "'now' is not defined; templates know no time, so that"),
            ("{{ zzz }}", "'zzz' is not defined; the list's columns"),
            ("{% if pln == 'pro' %}{% endif %}", "did you mean 'plan'?"),
            ("{% if true or pln %}{% endif %}", "did you mean 'plan'?"),
            ("{% for x in peopel %}{% endfor %}", "did you mean 'people'?"),
            ("{{ first_name|default(nick) }}", "'nick' is not defined"),
            ("{% set x = siet %}{{ x }}", "did you mean 'site'?"),
            ("{% macro m(a) %}{{ a }}{{ cty }}{% endmacro %}", "did you mean 'city'?"),
            ("{% include part %}", "'part' is not defined"),
        ],
    )
    def test_unknown_names(self, source: str, hint: str, folder: Path) -> None:
        (line,) = said(lambda: inline(source, folder))
        assert hint in line

    @pytest.mark.parametrize(
        "source",
        [
            "{{ nick|default('x') }}",
            "{{ nick|d('x') }}",
            "{{ row['nick']|default('x') }}",
            "{% if nick is defined %}{{ nick }}{% endif %}",
            "{% if row['nick'] is defined %}{{ row['nick'] }}{% endif %}",
            "{{ nick if nick is not undefined else 'x' }}",
            "{% for x in people %}{{ x }}{{ loop.index }}{% endfor %}",
            "{% set x = 1 %}{% block a %}{{ x }}{% endblock %}",
            "{% macro m(a, b=1) %}{{ a }}{{ b }}{{ varargs }}{{ kwargs }}{{ caller() }}{% endmacro %}",
            "{% macro m() %}{% endmacro %}{% block a %}{{ m() }}{% endblock %}",
            "{% import 'parts.txt' as p %}{% block a %}{{ p.m() }}{% endblock %}",
            "{% from 'parts.txt' import m, m as n %}{% block a %}{{ m() }}{{ n() }}{% endblock %}",
            "{% set a, b = 1, 2 %}{% block c %}{{ a }}{{ b }}{% endblock %}",
            "{% call(x) m() %}{{ x }}{% endcall %}{% macro m() %}{{ caller(1) }}{% endmacro %}",
            "{% filter upper %}{{ city }}{% endfilter %}",
            "{% set ns = namespace(a=1) %}{% set ns.a = 2 %}{{ ns.a }}{{ range(3)|list }}{{ dict(a=1) }}",
            "{{ recipient.email }}{{ campaign.name }}{{ unsubscribe.url }}{{ bounce.token }}",
            "{{ row.items()|list }}",
            "{% with a = 1 %}{{ a }}{% endwith %}",
        ],
    )
    def test_known_names(self, source: str, folder: Path, write: Callable[..., None]) -> None:
        write(parts_txt="{% macro m() %}{% endmacro %}")
        inline(source, folder)

    def test_a_variable_of_the_loop_is_seen_by_what_it_includes(
        self, folder: Path, write: Callable[..., None]
    ) -> None:
        write(body_txt="{% for x in people %}{% include 'part.txt' %}{% endfor %}", part_txt="{{ x }};")
        assert file("body.txt", folder).render(context()) == "A;B;"

    def test_a_long_list_is_named_in_part(self, folder: Path) -> None:
        names = Names(tuple(f"c{n}" for n in range(40)))
        (line,) = said(lambda: inline("{{ zzz }}", folder, names=names))
        assert line.endswith("c10, c11 and 28 more")

    @pytest.mark.parametrize(
        ("name", "why"),
        [
            ("../outside.txt", "lies outside the campaign's folder"),
            ("/etc/passwd", "lies outside the campaign's folder"),
            ("link.txt", "lies outside the campaign's folder"),
            ("list.csv", "not a template: the list, the ledger, secrets and hidden files"),
            ("gone.txt", "there is no file gone.txt"),
        ],
    )
    @pytest.mark.parametrize(
        "source", ["", "{% include NAME %}", "{% extends NAME %}", "{% import NAME as x %}"]
    )
    def test_files_that_are_no_templates(
        self, name: str, why: str, source: str, folder: Path, write: Callable[..., None]
    ) -> None:
        (folder / "list.csv").write_text("email\n")
        (folder / "link.txt").symlink_to("/etc/passwd")
        write(body_txt=f"\n{source.replace('NAME', repr(name))}")
        env = environment(folder, html=False, private=[folder / "list.csv"])
        main = "body.txt" if source else name
        (line,) = said(lambda: compile_file(main, env=env, place=PLACE, names=NAMES))
        assert why in line
        assert line.startswith("body.txt:2: " if source else "spring.yaml:7:10: templates.html: ")


class TestLeftOutByExtends:
    """What a template that extends another would lose is an error before any row."""

    @pytest.mark.parametrize(
        ("source", "found"),
        [
            (
                "{% block mian %}x{% endblock %}",
                "2: base.html has no block 'mian', so that it is not shown; did",
            ),
            ("{% block other %}{% endblock %}", "'other', so that it is not shown; it has foot, main"),
            (
                "{% block main %}{% endblock %}\n\nlost",
                "4: this is outside of the blocks that base.html shows",
            ),
            ("\n{{ city }}", "3: this is outside of the blocks"),
        ],
    )
    def test_found(self, source: str, found: str, folder: Path, write: Callable[..., None]) -> None:
        write(base_html="<{% block main %}{% block foot %}{% endblock %}{% endblock %}>")
        write(body_html="{% extends 'base.html' %}\n" + source)
        (line,) = said(lambda: file("body.html", folder))
        assert line.startswith("body.html:")
        assert found in line

    @pytest.mark.parametrize(
        "source",
        [
            "{% block main %}{% block own %}x{% endblock %}{% endblock %}\n{# a note #}\n",
            "{% block own %}x{% endblock %}{% block main %}{{ self.own() }}{% endblock %}",
            "{% set x = 1 %}{% macro m() %}a{% endmacro %}{% block top %}{{ m() }}{% endblock %}",
        ],
    )
    def test_not_found(self, source: str, folder: Path, write: Callable[..., None]) -> None:
        write(top_html="{% block top %}{% endblock %}{% block main %}{% endblock %}")
        write(base_html="{% extends 'top.html' %}{% block main %}{% endblock %}")
        write(body_html="{% extends 'base.html' %}" + source)
        file("body.html", folder)

    def test_of_a_computed_parent_nothing_is_known(self, folder: Path, write: Callable[..., None]) -> None:
        write(body_html="{% extends plan ~ '.html' %}{% block any %}{% endblock %}lost")
        file("body.html", folder)


class TestFoundInARow:
    """What only shows with values names the template, its line, and the columns."""

    @pytest.mark.parametrize(
        ("source", "words"),
        [
            ("{{ people[5] }}", "list object has no element 5"),
            ("{{ site.x }}", "a text has no 'x'"),
            ("{{ row[site] }}", f"'dict object' has no attribute 'x.test'; {LISTING}"),
            ("{{ row[site[:1] ~ 'mail'] }}", "nothing is named 'xmail' here; did you mean 'email'?"),
            ("{{ {'month': 1}.moth }}", "nothing is named 'moth' here; did you mean 'month'?"),
            (
                "{% import 'parts.txt' as p %}{{ p.buton() }}",
                "parts.txt has no 'buton'; did you mean 'button'",
            ),
            ("{% import 'parts.txt' as p %}{{ p.x }}", "parts.txt has no 'x'; it has button"),
            ("{{ {'month': 1}.moth|default('x') }}{{ {}.x is defined }}{{ 1 / 0 }}", "division by zero"),
            ("{{ row[plan] }}", "row[plan] asks for a column with the cell's name; write row['plan'], with"),
            (
                "{% if false %}{% set x = 1 %}{% endif %}{{ x }}",
                "'x' is undefined: what is set in a loop, a block or an `if` that is false",
            ),
            (
                "{% for a in 'b' %}{% set x = 1 %}{% endfor %}{{ x }}",
                "write {% set it = namespace(value='') %}",
            ),
            ("{{ first_name + 1 }}", "(cells are text: write first_name|number to calculate)"),
            ("{{ 1 / 0 }}", "the template cannot do this: division by zero"),
            ("{{ first_name.index('x') }}", "the template cannot do this: substring not found"),
            ("{{ first_name.includes('A') }}", "first_name has no 'includes'; write '…' in first_name"),
            ("{{ first_name.toUpperCase() }}", "write first_name|upper"),
            ("{{ first_name.nope() }}", "a cell is text, and first_name has no 'nope'"),
            ("{{ '%d'|format(first_name) }}", "the template cannot do this: %d format"),
            ("{{ '\\ud83d' }}", "the template gives half a character, U+D83D"),
            ("{% include 'gone-' ~ plan %}", "gone-pro is not a template"),
            ("{% include ['a.txt', 'b.txt'] %}", "none of the templates given were found"),
            ("{% include 'deep.txt' if plan %}", "nested too deeply"),
            ("{% include 'broken.txt' if plan %}", "Unexpected end of template"),
        ],
    )
    def test_place_and_words(self, source: str, words: str, folder: Path, write: Callable[..., None]) -> None:
        deep = "{% for a in people %}" * 25 + "{% endfor %}" * 25
        write(base_txt="a\n\n{% block b %}{% endblock %}", deep_txt=deep, broken_txt="{% if plan %}")
        write(parts_txt="{% macro button() %}{% endmacro %}")
        write(body_txt=f"{{% extends 'base.txt' %}}\n{{% block b %}}\n\n{source}{{% endblock %}}")
        text = file("body.txt", folder)
        (line,) = said(lambda: text.render(context()))
        assert words in line
        where = "broken.txt:1: " if "broken" in source else "body.txt:4: "
        where = "spring.yaml:7:10: templates.html: " if "half a" in words else where
        assert line.startswith(where)

    def test_inline(self, folder: Path) -> None:
        text = inline("{{ people[5] }}", folder)
        (line,) = said(lambda: text.render(context()))
        assert line.startswith("spring.yaml:7:10: templates.html: list object has no element 5")

    def test_it_renders_again_after_a_failure(self, folder: Path) -> None:
        text = inline("{{ 1 / plan|int }}", folder)
        assert said(lambda: text.render(context(plan="0")))
        assert text.render(context(plan="2")) == "0.5"


class TestWhatItReads:
    """`columns`, and the `shown` ones, for warnings about blank cells."""

    @pytest.mark.parametrize(
        ("source", "columns", "shown"),
        [
            ("Hello", "", ""),
            ("{{ city }}", "city", "city"),
            ("{{ row['First Name'] }}", "First Name", "First Name"),
            ("{{ row.city }}", "city", "city"),
            ("{{ city|upper }}", "city", "city"),
            ("{{ 'in ' ~ city }}", "city", "city"),
            ("{{ city or 'your town' }}", "city", ""),
            ("{{ row['First Name'] or 'friend' }}", "First Name", ""),
            ("{% if city %}in {{ city }}{% endif %}", "city", ""),
            ("{{ city if city else 'there' }}", "city", ""),
            ("{{ city|default('x') }}", "city", "city"),
            ("{{ city|default('x', true) }}", "city", ""),
            ("{{ city|default('x', boolean=true) }}", "city", ""),
            ("{% if plan == 'pro' %}{{ city }}{% endif %}", "city,plan", ""),
            ("{% if plan == 'pro' %}{{ city }}{% else %}in {{ city }}{% endif %}", "city,plan", "city"),
            ("{% if site == 'x' %}{{ city }}{% endif %}", "city", "city"),
            ("{% for x in city %}{{ x }}{% endfor %}", "city", ""),
            ("{{ site }}{{ recipient.email }}", "", ""),
            ("{% set city = 'x' %}{{ city }}", "", ""),
        ],
    )
    def test_columns(self, source: str, columns: str, shown: str, folder: Path) -> None:
        text = inline(source, folder)
        assert text.columns == frozenset(filter(None, columns.split(",")))
        assert set(text.shown) == set(filter(None, shown.split(",")))

    def test_our_names_are_no_columns(self, folder: Path) -> None:
        names = Names(("campaign", "row"), frozenset({"campaign"}))
        text = inline("{{ campaign.name }}{{ row['row'] }}", folder, names=names)
        assert text.columns == {"row"}
        assert inline("{{ campaign.name }}", folder, names=names).shown == {}

    def test_of_included_files_too(self, folder: Path, write: Callable[..., None]) -> None:
        write(body_txt="{% include 'part.txt' %}", part_txt="\n{{ city }}")
        shown = file("body.txt", folder).shown
        assert {column: (place.file, place.line) for column, place in shown.items()} == {
            "city": ("part.txt", 2)
        }


class TestConditions:
    """`where` yields true or false; a typo is an error and never drops the rows in silence."""

    def condition(self, source: str, folder: Path) -> Condition:
        return compile_condition(source, env=environment(folder, html=False), place=PLACE, names=NAMES)

    @pytest.mark.parametrize(
        ("source", "answer"),
        [
            ("plan == 'pro'", True),
            ("plan == 'free'", False),
            ("not city", True),
            ("plan in ['pro', 'plus'] and row['First Name'].startswith('Ann')", True),
            ("city == '' or city is none", True),
            ("first_name|length > 3", False),
            ("nick is defined", False),
            ("true", True),
        ],
    )
    def test_answers(self, source: str, answer: bool, folder: Path) -> None:
        assert self.condition(source, folder)(row_context(CELLS)) is answer

    @pytest.mark.parametrize("source", ["plan", "plan and city", "1", "first_name|length", "none", "[true]"])
    def test_neither_true_nor_false(self, source: str, folder: Path) -> None:
        ask = self.condition(source, folder)
        (line,) = said(lambda: ask(row_context(CELLS)))
        assert line.startswith("spring.yaml:7:10: templates.html: the condition gives ")
        assert "neither true nor false; compare it: plan == 'pro'" in line

    @pytest.mark.parametrize(
        ("source", "words"),
        [
            ("pln == 'pro'", "'pln' is not defined; did you mean 'plan'?"),
            ("pln", "'pln' is not defined; did you mean 'plan'?"),
            ("plan == 'pro' or pln == 'x'", "'pln' is not defined"),
            ("row['pln'] == 'pro'", "the list has no column 'pln'; did you mean 'plan'?"),
            ("plan = 'pro'", "template syntax: an expression ends before this"),
            ("plan == ", "template syntax: "),
            ("plan == 'pro", "template syntax: "),
            ("plan == 'pro' }}", "template syntax: "),
            ("{{ plan == 'pro' }}", "template syntax: "),
            ("plan is pro", "no test is named 'pro'"),
            ("(" * 5000, "too deeply"),
        ],
    )
    def test_wrong_before_any_row(self, source: str, words: str, folder: Path) -> None:
        (line,) = said(lambda: self.condition(source, folder))
        assert line.startswith("spring.yaml:7:10: templates.html: ")
        assert words in line

    @pytest.mark.parametrize(
        ("source", "words"),
        [
            ("plan.x", "a cell is text, and plan has no 'x'"),
            ("plan.x == 'pro'", "a cell is text, and plan has no 'x'"),
            ("plan > 5", "cells are text"),
            ("plan.upper", "the condition gives <"),
        ],
    )
    def test_wrong_with_a_row(self, source: str, words: str, folder: Path) -> None:
        ask = self.condition(source, folder)
        (line,) = said(lambda: ask(row_context(CELLS)))
        assert words in line
