"""A Markdown template makes a page; a value in it is text, whatever it holds."""

from __future__ import annotations

import re
import string
from html import unescape
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.errors import Problem
from campaign.message.html.markdown import to_html
from campaign.message.html.plaintext import from_html
from campaign.templating.compiled import compile_text
from campaign.templating.names import Names
from campaign.templating.sandbox import environment


def page(source: str, *, title: str = "", language: str = "", **cells: str) -> str:
    env = environment(Path("/nowhere"), html=False, markdown=True)
    text = compile_text(source, env=env, place=Problem("", path="x"), names=Names(tuple(cells)))
    return to_html(text.render({**cells, "row": cells}), title=title, language=language)


def body(source: str, **cells: str) -> str:
    found = re.search(r'sans-serif">\n(.*)</div></body>', page(source, **cells), re.DOTALL)
    assert found is not None
    return found[1]


class TestPage:
    def test_it_is_a_document(self) -> None:
        html = page("Hi")
        assert html.startswith("<!DOCTYPE html>\n<html><head><meta charset=")
        assert html.endswith("<p>Hi</p>\n</div></body></html>\n")

    def test_the_first_heading_is_its_title(self) -> None:
        html = page("text\n\n## So *much* {{ a }}\n\n# Other\n", title="Subject", a="<&>")
        assert "<title>So much &lt;&amp;&gt;</title>" in html

    def test_or_else_the_subject(self) -> None:
        assert "<title>A &lt;b&gt; &amp; {body}</title>" in page("Hi", title="A <b> & {body}")

    @pytest.mark.parametrize("language", ["de", "pt-BR", "zh-Hant-TW"])
    def test_its_language_where_one_is_given(self, language: str) -> None:
        assert f'<html lang="{language}"><head>' in page("Hi", language=language)

    @pytest.mark.parametrize("language", ["", "German (Austria)", '"><script>', "d", "de_AT"])
    def test_no_language_rather_than_a_wrong_one(self, language: str) -> None:
        assert "<html><head>" in page("Hi", language=language)


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("# Hi", "<h1>Hi</h1>\n"),
        ("a **b** *c* ~~d~~ `e`", "<p>a <strong>b</strong> <em>c</em> <del>d</del> <code>e</code></p>\n"),
        ('[a](https://x.test/?b=1&c "t")', '<p><a href="https://x.test/?b=1&amp;c" title="t">a</a></p>\n'),
        ("<https://x.test/>", '<p><a href="https://x.test/">https://x.test/</a></p>\n'),
        ("![a](a.png)", '<p><img src="a.png" alt="a" /></p>\n'),
        ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n"),
        ("```\na < b\n```", "<pre><code>a &lt; b\n</code></pre>\n"),
        ("<div class='x'>a</div>", "<div class='x'>a</div>\n\n"),
        (r"\*a\* &amp; 1 < 2", "<p>*a* &amp; 1 &lt; 2</p>\n"),
        ("> a\n\n---", "<blockquote>\n<p>a</p>\n</blockquote>\n<hr />\n"),
    ],
    ids=range(10),
)
def test_the_template_is_markdown(source: str, html: str) -> None:
    assert body(source) == html


def test_tables() -> None:
    html = body("| a | b |\n|---|--:|\n| {{ x }} | 2 |\n", x="1 | 3")
    assert '<td style="text-align:right">2</td>' in html
    assert "<td>1 | 3</td>" in html


@pytest.mark.parametrize(
    "value",
    [
        "[win](https://evil.test)", "<https://evil.test>", "https://evil.test", "![x](https://evil.test/p.png)",
        "<b>bold</b>", "**bold** _it_ ~~x~~ `code`", "# heading", "- item", "1. item", "> quote", "a | b",
        "---", "===", "\\*x\\*", "&lt;b&gt; &amp;amp;", "[x]: https://evil.test", "```", "<!-- x -->",
        "%EF%B7%90",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "source", ["{{ v }}", "a {{ v }} b", "# {{ v }}", "- {{ v }}", "*{{ v }}*", "[{{ v }}](https://x.test)"]
)
def test_a_value_is_text(source: str, value: str) -> None:
    around = body(source, v="x")
    html = body(source, v=value)
    assert re.findall(r"<\w+", html) == re.findall(r"<\w+", around)
    assert value.strip() in unescape(html)


def test_a_value_in_an_address_and_in_code() -> None:
    assert 'href="https://x.test/?q=a_b*c"' in body("[x](https://x.test/?q={{ v }})", v="a_b*c")
    assert body("`{{ v }}`", v="a`b<c") == "<p><code>a`b&lt;c</code></p>\n"


@given(
    st.text(
        st.sampled_from(string.punctuation + "ab1 \n") | st.characters(exclude_categories=["C"]), max_size=20
    )
)
def test_no_value_makes_an_element(value: str) -> None:
    value = re.sub(r"\s+", " ", value).strip()
    html = body("Dear {{ v }}.", v=value)
    assert re.findall(r"<\w+", html) == ["<p"]
    assert unescape(html) == f"<p>Dear {value}.</p>\n"


@pytest.mark.parametrize("value", ["", "  ", " a ", "«Hi»", "🎉", "*"])
@pytest.mark.parametrize(
    "source",
    [
        "~~{{ v }}~~ b", "**{{ v }}**", "__{{ v }}__", "a**{{ v }}**b", "*{{ v }}* b *c*", "_{{ v }}_",
        "`{{ v }}` b `c`", "[{{ v }}](https://x.test)", "![{{ v }}](b.png)", "a\n> b {{ v }}\n\nb",
        "- {{ v }}\n- b", "1. {{ v }}\n2. b", "# {{ v }}\n\nb", "{{ v }}\n===\n\nb", "a\n{{ v }}\nb",
        "| a | b |\n|---|---|\n| {{ v }} | b |", "<b>{{ v }}</b>", "**{{ v }} {{ v }}**", "{{ v }}**b**",
        "**{{ v ~ ' ' ~ v }}**", "{% set s %}{{ v }}{% endset %}**{{ s }}**", "```{{ v }}\nb\n```",
    ],
)  # fmt: skip
def test_the_marks_around_a_value_are_what_they_are_with_any_other(source: str, value: str) -> None:
    found, expected = (re.findall(r"<\w+", body(source, v=v)) for v in (value, "x"))
    assert found == expected


@pytest.mark.parametrize("source", ["[b]({{ v }})", "[b][l]\n\n[l]: {{ v }}"])
def test_a_link_with_a_blank_address_is_a_link(source: str) -> None:
    assert body(source, v="") == '<p><a href="">b</a></p>\n'


@pytest.mark.parametrize(
    ("source", "address"),
    [
        ("[b]({{ v }})", "a%20b"),
        ("[b](https://x.test/{{ v }}/c)", "https://x.test/a%20b/c"),
        ("[b](\n  x(y){{ v }}{{ v }}?q=(z) 'title')", "x(y)a%20ba%20b?q=(z)"),
        ("[b]({% if v %}{{ v }}{% else %}x{% endif %})", "a%20b"),
        ("[{{ v }}]({{ v|upper }} '{{ v }}')", "A%20B"),
        ("![b]({{ v }})", "a%20b"),
        ("[b](<{{ v }}>)", "a%20b"),
        ("[b][l]\n\n  [l]: {{ v }} '{{ v }}'", "a%20b"),
        ("{% macro m(x) %}[b]({{ x }}){% endmacro %}{{ m(v) }}", "a%20b"),
        ("- [a](x)\n- [b](y{{ v ~ '&' }})", "ya%20b&"),
        ("[![c](d)](e{{ v }})", "ea%20b"),
        ("[b](e{% if v %}?{{ v }}{% endif %}{% if v %} 'c'{% endif %})", "e?a%20b"),
        ("{% set u %}\nx?y={{ v }}\n{% endset %}[b]({{ u }})", "x?y=a%20b"),
        ("{% macro m(x) %}x/{{ x }}{% endmacro %}[b]({{ m(v) }} 'c')", "x/a%20b"),
    ],
)
def test_a_blank_in_an_address_does_not_end_the_link(source: str, address: str) -> None:
    html = body(source, v="a b")
    assert address in [unescape(one) for one in re.findall(r'(?:href|src)="([^"]*)"', html)], html
    assert "a%20b" not in re.sub(r'(?:href|src)="[^"]*"', "", html)


def test_blanks_elsewhere_stay() -> None:
    assert body("[{{ v }}](u) ({{ v }}) a]({{ v }}", v="a b").startswith('<p><a href="u">a b</a> (a b) a]')
    assert body("`x` (b) [c](d 'e') {{ v }}", v="a b").endswith("a b</p>\n")
    assert 'href="a%0Ab%20"' in body("[b]({{ v ~ x }})", v=" a\nb", x="%20")


@pytest.mark.parametrize(
    "source",
    [
        "f(x]({{ v }})", "`](`{{ v }}`)`", "`[b](` {{ v }}", r"\[b\]({{ v }})", "[b](c)({{ v }})",
        "see [b]({{ v }}", "```\n[b]({{ v }})\n```", "[b\n\nc]({{ v }})", "[Note]: {{ v }}",
        "[{{ v }}]: {{ v }}", "[Note]: {{ v }}\n\n[Note]: {{ v }}",
    ],
)  # fmt: skip
def test_brackets_that_are_no_link_leave_a_value_as_it_is(source: str) -> None:
    html = body(source, v="a b")
    assert "%20" not in html
    assert html.count("a b") == source.count("{{ v }}")


@pytest.mark.parametrize(
    ("source", "number", "expected"),
    [
        ("{% set n %}{{ v }}{% endset %}{{ n|int + 1 }}", "20", "21"),
        ("{% set n %}{{ v }}{% endset %}{% if n == '20' %}yes{% endif %}", "20", "yes"),
        ("{% macro m(n) %}{{ n }}{% endmacro %}{{ m(v)|float * 2 }}", "20", "40.0"),
        ("{% set n %}{{ v }}{% endset %}{{ n|int + 1 }} {{ n|number }}", "-20", "-19 -20"),
        ("{% set n %}-{{ v }}.5{% endset %}{{ n|float }}", "20", "-20.5"),
        ("&#{{ v }};", "65", "A"),
    ],
)
def test_a_number_stays_one(source: str, number: str, expected: str) -> None:
    assert body(source, v=number) == f"<p>{expected}</p>\n"


@pytest.mark.parametrize("value", ["2026", "1", "123456789", "1\n2", "٣"])
@pytest.mark.parametrize(
    "source",
    [
        "{{ v }}. That",
        "{{ v }}) That",
        "a\n{{ v }}. b",
        "> {{ v }}. b",
        "- {{ v }}. b",
        "1{{ v }}. b",
        "{{ v }}{% if not v %} c{% endif %}. b",
        "{% if v %}{{ v }}{% endif %}. b",
    ],
)
def test_a_number_before_the_template_s_dot_is_no_list(source: str, value: str) -> None:
    html = body(source, v=value)
    assert "<ol" not in html
    assert unescape(re.sub(r"<[^>]*>|\s", "", html)) == re.sub(
        r"\{% if not.*?endif %\}|\{%.*?%\}|\s", "", source.replace("{{ v }}", value).lstrip("->")
    )


def test_a_template_s_own_count_is_a_list() -> None:
    html = body("{% for x in ('a', 'b') %}{{ loop.index }}. {{ x }}{{ '\n' }}{% endfor %}", v="")
    assert html == "<ol>\n<li>a</li>\n<li>b</li>\n</ol>\n"


_PIECES = ["**", "*", "_", "~~", "`", "[", "](u)", "> ", "- ", "# ", "|", "|-|", "=", "\n", "\n\n", "a", " "]
_PIECES += ["](", ")", ". ", ") ", "1", "[a]: ", "<"]


@given(
    st.lists(st.sampled_from([*_PIECES, *["{{ v }}"] * 4]), max_size=12).map("".join),
    st.sampled_from(["", "*", "«»", "🎉", "x", "a b", "a  b c", "2026", "7"]),
)
def test_a_blank_value_leaves_an_empty_place_and_nothing_else(source: str, value: str) -> None:
    def around(value: str) -> list[str]:
        html = body(source, v=value)
        return re.findall(r"</?\w+", html if shown else re.sub(r"<p>[Q\s]*</p>", "", html))

    shown = value != ""
    assert around(value) == around("Q")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{% set s %}{{ v }}{% endset %}{% if s %}some{% else %}none{% endif %}", "none"),
        ("{% macro m(x) %}{{ x }}{% endmacro %}{{ m(v) or 'none' }}", "none"),
        ("a\n\n{{ v }}\n\nb", "a\n\nb"),
        ("- a\n{% macro m(x) %}{% if x %}- {{ x }}\n{% endif %}{% endmacro %}{{ m(v) }}- b", "- a\n- b"),
        ("- a\n{{ v|safe }}- b", "- a\n- b"),
        ("a{{ ' ' }}{{ v }}b", "a b"),
        ("{% for x in 'ab' %}- {{ x }}{{ '\n' }}{% endfor %}", "- a\n- b"),
    ],
)
def test_what_is_blank_counts_as_blank(source: str, text: str) -> None:
    assert from_html(page(source, v="")) == f"{text}\n"


def test_its_text_part() -> None:
    html = page("# News for {{ v }}\n\nRead [it](https://x.test/a_b).\n\n- one\n- two\n", v="*Ann*")
    heading = "News for *Ann*"
    expected = f"{heading}\n{'=' * len(heading)}\n\nRead it <https://x.test/a_b>.\n\n- one\n- two\n"
    assert from_html(html) == expected
