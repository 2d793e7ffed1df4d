"""Tags of other template languages are named, and said in Jinja2's words."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.errors import Problem, UserError
from campaign.templating.compiled import compile_file, compile_text
from campaign.templating.dialects import explained
from campaign.templating.names import Names, row_context
from campaign.templating.sandbox import environment

PLACE = Problem("", file="spring.yaml", line=7, path="templates.html")
NAMES = Names(("email", "first_name", "name", "Vor name", "E-Mail", "Nr.", "Fällig am"), frozenset({"site"}))


def said(source: str, folder: Path, name: str = "body.html") -> list[str]:
    (folder / name).write_text(source, "utf-8")
    env = environment(folder, html=True)
    with pytest.raises(UserError) as caught:
        compile_file(name, env=env, place=PLACE, names=NAMES).render(
            row_context(dict.fromkeys(NAMES.columns, "x"))
        )
    return [problem.message for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("source", "language", "written"),
    [
        ("{{#each items}}x{{/each}}", "Handlebars", "{% for item in items %} … {% endfor %}"),
        ("{{#if name}}x{{/if}}", "Handlebars", "{% if name %} … {% endif %}"),
        ("{{#unless name}}", "Handlebars", "{% if not name %} … {% endif %}"),
        ("{{> footer}}", "Handlebars", '{% include "…" %}'),
        ("{{{ name }}}", "Handlebars", "{{ name|safe }}"),
        ("{% if name %}a{{else}}b{% endif %}", "Handlebars", "{% else %}"),
        ("{{!-- a note --}}", "Handlebars", "{# … #}"),
        ("{{ .Subscriber.FirstName }}", "Go", "{{ first_name }}"),
        ("{{ if .Name }}x{{ end }}", "Go", "{% if name %} … {% endif %}"),
        ("{{ range .Items }}x{{ end }}", "Go", "{% endif %} or {% endfor %}"),
        ('{{ x | default: "y" }}', "Liquid or Django", '{{ x|default("y") }}'),
        ('{{ contact.FIRSTNAME | default : "you" }}', "Liquid or Django", '{{ first_name|default("you") }}'),
        ("{{ name | date: '%d' | upcase }}", "Liquid or Django", "{{ name|date('%d') }}"),
        ('{{ name | append: "!" }}', "Liquid or Django", '{{ name ~ "!" }}'),
        ("{% assign x = 'a' %}", "Liquid", "{% set x = 'a' %}"),
        ("{% unless name %}x{% endunless %}", "Liquid", "{% if not name %} … {% endif %}"),
        ("{% if name %}a{% elsif email %}b{% endif %}", "Liquid", "{% elif email %}"),
        ("{{ *|FNAME|* }}", "Mailchimp", "{{ first_name }}"),
        ("{{ $name }}", "a merge tag", "{{ name }}"),
        ("{{ firstname,fallback=you }}", "a merge tag", '{{ first_name or "you" }}'),
        ("{{var:firstname}}", "Mailjet", "{{ first_name }}"),
        ('{{data:firstname:"you"}}', "Mailjet", '{{ first_name or "you" }}'),
        ("{{lead.First Name}}", "Marketo", "{{ first_name }}"),
        ("{{lead.First Name:default=you}}", "Marketo", '{{ first_name or "you" }}'),
    ],
)
def test_a_language(source: str, language: str, written: str, tmp_path: Path) -> None:
    expected = f" looks like {language}; in Jinja2 it is {written}"
    assert any(expected in message for message in said(source, tmp_path))


@pytest.mark.parametrize(
    ("source", "written"),
    [
        ("{{ Vor name }}", "{{ row['Vor name'] }}"),
        ("{{ vorname | upper }}", "row['Vor name']"),
        ("{{ E-Mail }}", "{{ row['E-Mail'] }}"),
        ("{{ e-mail|lower }}", "{{ row['E-Mail']|lower }}"),
        ("{{ Nr. }}", "{{ row['Nr.'] }}"),
        ("{{ Fällig am|date }}", "{{ row['Fällig am']|date }}"),
        ("{{ Ort und Tag }}", "a name has no blank in it"),
        ("{{ Kunden-Nr }}", "{{ row['Kunden-Nr'] }}"),
    ],
)
def test_a_column_whose_name_is_no_name_of_jinja(source: str, written: str, tmp_path: Path) -> None:
    (only,) = said(source, tmp_path)
    assert written in only


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{% if name && email %}{% endif %}", "`&&` is `and` in Jinja2"),
        ("{{ name || 'you' }}", "`||` is `or` in Jinja2"),
        ("{{ name ? 'a' : 'b' }}", "{{ b if a else c }}"),
        ("{{ name ?? 'you' }}", "`a ?? b` is {{ a or b }} in Jinja2"),
        ("{{ contact.FIRSTNAME }}", "'contact' is not defined; write first_name; the list's columns"),
        ("{% if person.vorname %}x{% endif %}", "'person' is not defined; write row['Vor name'];"),
        ("{{ contact.plan }}", "'contact' is not defined; the list's columns are"),
        ("{{ name|default(“you”) }}", "typographic quotes"),
        ('{{ name | default "you" }}', 'a filter takes stands in brackets: {{ name|default("you") }}'),
        ("{{ name|trim|date '%d' }}", "brackets: {{ name|trim|date('%d') }}"),
        ("{{ row[Nachname] }}", "a column's name stands in quotes: write row['Nachname']"),
        ("{{ row[First Name] }}", "a column's name stands in quotes: write row['First Name']"),
        ("{% if row[E-Mail] %}x{% endif %}", "a column's name stands in quotes: write row['E-Mail']"),
        ("{% if row[Nachname] %}x{% endif %}", "a column's name stands in quotes: write row['Nachname']"),
        ("{{ name|upcase }}", "no filter is named 'upcase'; did you mean 'upper'?"),
        ("{{ name|strip_html }}", "did you mean 'striptags'?"),
        (
            "{{ row['Fällig am'].strftime('%d.%m.%Y') }}",
            "a cell is text, and row['Fällig am'] has no 'strftime'",
        ),
    ],
)
def test_other_words(source: str, words: str, tmp_path: Path) -> None:
    (only,) = said(source, tmp_path)
    assert words in only


def test_a_comment_that_a_style_begins(tmp_path: Path) -> None:
    env = environment(tmp_path, html=True)
    (tmp_path / "body.html").write_text("<style>\np{}\n@media screen{#top{color:red}}</style>\n<p>\n")
    with pytest.raises(UserError) as caught:
        compile_file("body.html", env=env, place=PLACE, names=NAMES)
    (only,) = caught.value.problems
    assert only.line == 3
    assert "`{#` begins a comment of Jinja2" in only.message
    assert "in CSS write a blank between: { #top" in only.message


def test_the_line_is_that_of_the_tag(tmp_path: Path) -> None:
    (tmp_path / "body.html").write_text("<p>\n{{ name }}\n{{#if name}}\n{{ Vor name }}")
    with pytest.raises(UserError) as caught:
        compile_file("body.html", env=environment(tmp_path, html=True), place=PLACE, names=NAMES)
    assert [(problem.line, "{{#if name}}" in problem.message) for problem in caught.value.problems] == [
        (3, True)
    ]


@pytest.mark.parametrize(
    "source",
    [
        "{{ name|default('a: b') }}",
        "{{ name[1:] }}{{ {'a': 1}.a }}{{ 'a' if name else 'b' }}",
        "{{ (name ~ '?') }}{% if name is defined and email %}{% endif %}",
        "{{ name }}{{- name -}}{{ 3 - 2 }}{{ site }}{# a note #}",
    ],
)
def test_what_is_jinja_is_no_other_language(source: str, tmp_path: Path) -> None:
    compile_text(source, env=environment(tmp_path, html=True), place=PLACE, names=NAMES)


@given(st.text(alphabet="{}%#|.:$*<>!-/ @^&aN'\n\"", max_size=40))
def test_any_source_gets_its_answer(source: str) -> None:
    assert isinstance(explained(source, 1, NAMES), str)
