"""MJML becomes an HTML template whose Jinja marks are the ones that were written."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from campaign.errors import Problem, UserError
from campaign.message.html.mjml import Converted, to_html
from campaign.templating.compiled import compile_text
from campaign.templating.names import Names
from campaign.templating.sandbox import environment


def mail(column: str, head: str = "") -> str:
    section = f"<mj-section><mj-column>{column}</mj-column></mj-section>"
    return f"<mjml><mj-head>{head}</mj-head>\n<mj-body>\n{section}\n</mj-body></mjml>"


def converted(source: str, **others: str) -> Converted:
    """Convert `body.mjml`; `others` are files beside it, by their names with `_` for the dot."""
    files = {
        "body.mjml": source,
        **{name.replace("__", "/").replace("_", "."): others[name] for name in others},
    }

    def read(name: str) -> tuple[str, str]:
        if name not in files:
            raise UserError(f"there is no file {name}")
        return files[name], f"/campaign/{name}"

    return to_html("body.mjml", read)


def html(source: str, **others: str) -> str:
    """The HTML template, with the marks as they were written."""
    pytest.importorskip("mrml")
    return re.sub(r"(\{[{%][-+]?)\n", r"\1", converted(source, **others).html)


def refusal(source: str, **others: str) -> list[str]:
    pytest.importorskip("mrml")
    with pytest.raises(UserError) as caught:
        converted(source, **others)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    "mark",
    [
        "{{ first_name }}",
        "{{ '<b>' if a > b else \"&amp;\" }}",
        "{{ row['First Name']|e }}",
        "{% if a %}x{% endif %}",
        "{#- a remark -#}",
        "{{\n  first_name\n}}",
    ],
)
def test_marks_in_text_stay(mark: str) -> None:
    assert f"Hi {mark}!" in html(mail(f"<mj-text>Hi {mark}!</mj-text>"))


def test_marks_in_attributes_stay() -> None:
    page = html(
        mail(
            '<mj-text color="{{ colour }}">a</mj-text><mj-button href="{{ \'https://x.test/?a=1&b\' }}">b'
            '</mj-button><mj-image src="{{ id }}.png" alt="{{ name }}" />',
            "<mj-title>{{ title }}</mj-title><mj-preview>{{ lead }}</mj-preview>"
            "<mj-style>.a{color:{{ colour }}}</mj-style>",
        )
    )
    assert "color:{{ colour }};" in page
    assert "href=\"{{ 'https://x.test/?a=1&b' }}\"" in page
    assert 'src="{{ id }}.png"' in page
    assert 'alt="{{ name }}"' in page
    assert "<title>{{ title }}</title>" in page
    assert ".a{color:{{ colour }}}" in page


def test_loops_in_raw_and_in_tables_render() -> None:
    source = html(
        mail(
            "<mj-raw>{% for one in ['a', 'b'] %}</mj-raw><mj-text>[{{ one }}]</mj-text>"
            "<mj-raw>{% endfor %}</mj-raw>"
            "<mj-table>{% for one in ['c', 'd'] %}<tr><td>({{ one }}{{ v }})</td></tr>{% endfor %}</mj-table>"
        )
    )
    env = environment(Path("/nowhere"), html=True)
    page = compile_text(source, env=env, place=Problem(""), names=Names(("v",))).render({"v": "<"})
    assert page.index("[a]") < page.index("[b]") < page.index("(c&lt;)") < page.index("(d&lt;)")


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("", "/campaign/body.mjml:1: this is not MJML: unable to find mjml element"),
        ("<p>Hi</p>", "/campaign/body.mjml:1: this is not MJML: unexpected token"),
        (
            "<mjml>\n<mj-body>\n<mj-section></mj-body></mjml>",
            "/campaign/body.mjml:3: <mj-section> is not closed",
        ),
        (
            "<mjml><mj-head><mj-title>{{ a\n }} é</mj-title>\n\n<p title='é'>x</p></mj-head></mjml>",
            "/campaign/body.mjml:4: this is not MJML: unexpected element: <p>",
        ),
        (
            "<mjml>\n<mj-body>\n<mj-text>\n<p>x<br></mj-text></mj-body></mjml>",
            "/campaign/body.mjml:4: <p> is not",
        ),
        (
            "<mjml><mj-body>\n<mj-section a=b /></mj-body></mjml>",
            "/campaign/body.mjml:2: the value of a needs",
        ),
        (mail("<mj-text>\n{{ a < b }} 4 < 5</mj-text>"), "/campaign/body.mjml:4: a < that begins no tag is"),
    ],
    ids=range(7),
)
def test_errors_are_sentences_with_their_line(source: str, what: str) -> None:
    (only,) = refusal(source)
    assert only.startswith(what)
    assert "root template" not in only
    assert "qjinja" not in only


def test_a_mark_that_would_vanish_is_an_error() -> None:
    source = mail('<mj-image src="a.png"\n width="{{ width }}" /><mj-text>{{ a }}</mj-text>')
    assert refusal(source) == [
        "/campaign/body.mjml:4: {{ width }} is lost: MJML has no place for it here,"
        " or calculates with this value"
    ]


@pytest.mark.parametrize(
    "comment",
    [
        "<!--[if mso]><table><tr><td>{{ a }}<![endif]-->",
        "<!--[if mso]></td></tr></table><![endif]-->",
        "<!--[if !mso]><!--><b>{{ a }}</b><!--<![endif]-->",
        "<!--[if (gte mso 9)|(IE)]>a & b<br><![endif]-->",
    ],
)
def test_conditional_comments_stay(comment: str) -> None:
    assert comment in html(mail("<mj-raw>" + comment + "</mj-raw>", f"<mj-raw>{comment}</mj-raw>"))
    assert comment in html(mail(f"<mj-text>a {comment} b</mj-text>"))


@pytest.mark.parametrize("text", ["{% if a %}", "{{ a }}", "<!--[if mso]>{{ a }}<![endif]-->"])
def test_what_has_no_place_is_named(text: str) -> None:
    source = mail(f"\n<mj-social>\n{text}</mj-social>")
    named = text.replace("{{ a }}<![endif]-->", "")
    assert refusal(source) == [f"/campaign/body.mjml:5: MJML has no place for {named} here"]


def test_what_stands_before_the_first_element_is_left_out() -> None:
    source = mail("<mj-text>{{ a }}</mj-text>")
    before = '\n<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE mjml>\n'
    assert html(before + source) == html(source)


def test_without_its_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mrml", None)
    with pytest.raises(UserError, match=r"an extra package: pip install 'campaign\[mjml\]'"):
        converted(mail(""))


def test_line_breaks_in_attributes_are_blanks() -> None:
    page = html(
        mail('<mj-text><p style="\n color: red;\n">Hi</p></mj-text><mj-button href="a\n">b</mj-button>')
    )
    assert '<p style="  color: red; ">' in page
    assert 'href="a "' in page


def test_attributes_are_not_escaped_as_in_a_program() -> None:
    page = html(mail("<mj-text><p title='say \"é\" \\ \u200b'>Hi</p></mj-text>"))
    assert '<p title="say &quot;é&quot; \\ \u200b">' in page


def test_unknown_elements_are_named_together() -> None:
    source = mail(
        "\n<mj-txt>a</mj-txt><!-- <mj-no> -->\n<mj-text>{{ '<mj-x>' }}<mj-foo /></mj-text>",
        "<mj-html-attributes/>",
    )
    assert refusal(source) == [
        "/campaign/body.mjml:1: <mj-html-attributes> is not converted here;"
        " write the attributes into the elements",
        "/campaign/body.mjml:4: MJML has no <mj-txt>; did you mean <mj-text>?",
        "/campaign/body.mjml:5: MJML has no <mj-foo>; did you mean <mj-font>?",
    ]


def test_a_line_of_the_html_is_one_of_the_mjml() -> None:
    source = mail(
        "<mj-text>{{ a }}</mj-text>\n<mj-text>{{ b }} {{\n c }}</mj-text>\n<mj-image alt='{{ d }}' src='x' />"
    )
    made = converted(source)
    for name, line in (("a", 3), ("b", 4), ("c", 5), ("d", 6)):
        at = made.html[: re.search(rf"\s{name} }}}}", made.html).end()].count("\n") + 1  # type: ignore[union-attr]
        assert made.at_source(Problem("x", "body.html", at)).line == line, name


def test_what_is_raw_stays_raw() -> None:
    page = converted(mail("<mj-text>{% raw %}{{ a }}{% endraw %}</mj-text>")).html
    assert "{{ a }}" in page


class TestIncludes:
    def test_a_part_stands_in_its_place(self) -> None:
        page = html(
            mail("<mj-include path='./parts/one' /><mj-text>B</mj-text>"),
            parts__one_mjml="<mj-text>A</mj-text>",
        )
        assert page.index("A</div>") < page.index("B</div>")

    def test_a_document_gives_its_body_here_and_its_head_to_the_head(self) -> None:
        other = (
            "<mjml><mj-head><mj-attributes><mj-text color='#123456' /></mj-attributes></mj-head>"
            "<mj-body><mj-section><mj-column><mj-text>In</mj-text></mj-column></mj-section></mj-body></mjml>"
        )
        for head in ("<mj-head></mj-head>", "<mj-head />", ""):
            page = html(
                f"<mjml>{head}<mj-body><mj-include path='o.mjml'></mj-include></mj-body></mjml>", o_mjml=other
            )
            assert "#123456" in page
            assert "In</div>" in page

    @pytest.mark.parametrize("where", ["<mj-head>{}</mj-head><mj-body>", "<mj-body>{}"])
    def test_css_becomes_a_style(self, where: str) -> None:
        include = where.format("<mj-include path='a.css' type='css' />")
        page = html(f"<mjml>{include}<mj-section></mj-section></mj-body></mjml>", a_css="p > a{color:red}")
        assert re.search(r"<style[^>]*>p > a\{color:red\}", page.partition("<body")[0])

    def test_html_stays_raw(self) -> None:
        page = html(mail("<mj-include path='a.html' type='html' />"), a_html="<p>{{ name }}</p>")
        assert "<p>{{ name }}</p>" in page

    def test_one_in_a_comment_is_none(self) -> None:
        html(mail("<!-- <mj-include path='a' /> -->{# <mj-include path='a' /> #}"))

    def test_errors_are_named_in_their_files(self) -> None:
        part = "<mj-text>\nA</mj-text>\n<mj-foo />"
        assert refusal(mail("\n<mj-include path='a' />\n<mj-bar/>"), a_mjml=part) == [
            "/campaign/a.mjml:3: MJML has no <mj-foo>; did you mean <mj-font>?",
            "/campaign/body.mjml:5: MJML has no <mj-bar>; did you mean <mj-navbar>?",
        ]

    @pytest.mark.parametrize(
        ("include", "what"),
        [
            ("<mj-include path='no' />", "there is no file no.mjml"),
            ("<mj-include />", "mj-include needs a path"),
            ("<mj-include path='{{ a }}' />", "mj-include needs a path without template tags"),
            ("<mj-include path='body.mjml' />", "body.mjml includes itself"),
        ],
        ids=range(4),
    )
    def test_what_cannot_be_included(self, include: str, what: str) -> None:
        first, second = refusal(mail(f"\n{include}<mj-include path='nor' />"))
        assert first.startswith(f"/campaign/body.mjml:4: {what}")
        assert second == "/campaign/body.mjml:4: there is no file nor.mjml"

    def test_jinja_s_errors_are_named_in_their_files(self) -> None:
        made = converted(mail("\n<mj-include path='a' />"), a_mjml="<mj-text>\n{{ x }}</mj-text>")
        at = made.html[: made.html.index("x }}")].count("\n") + 1
        found = made.at_source(Problem("what", "body.html", at))
        assert (found.file, found.line) == ("/campaign/a.mjml", 2)
