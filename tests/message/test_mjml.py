"""MJML becomes an HTML template whose Jinja marks are the ones that were written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from campaign.errors import Problem, UserError
from campaign.message.mjml import to_html
from campaign.templating.compiled import compile_text
from campaign.templating.names import Names
from campaign.templating.sandbox import environment

FILE = Path("/campaign/body.mjml.j2")


def mail(column: str, head: str = "") -> str:
    section = f"<mj-section><mj-column>{column}</mj-column></mj-section>"
    return f"<mjml><mj-head>{head}</mj-head>\n<mj-body>\n{section}\n</mj-body></mjml>"


def html(source: str) -> str:
    pytest.importorskip("mrml")
    return to_html(source, FILE)


def refusal(source: str) -> list[str]:
    with pytest.raises(UserError) as caught:
        html(source)
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
        ("", "/campaign/body.mjml.j2:1: this is no MJML: unable to find mjml element"),
        ("<p>Hi</p>", "/campaign/body.mjml.j2:1: this is no MJML: unexpected token"),
        ("<mjml>\n<mj-body>\n<mj-section></mj-body></mjml>", "/campaign/body.mjml.j2:3: this is no MJML:"),
        (
            "<mjml><mj-head><mj-title>{{ a\n }}</mj-title></mj-head>\n<mj-body>"
            "\n<mj-include path='/etc/passwd' /></mj-body></mjml>",
            "/campaign/body.mjml.j2:4: mj-include is not followed; put what it names into this file",
        ),
    ],
    ids=range(4),
)
def test_errors_are_sentences_with_their_line(source: str, what: str) -> None:
    (only,) = refusal(source)
    assert only.startswith(what)
    assert "root template" not in only
    assert "qjinja" not in only


def test_a_mark_that_would_vanish_is_an_error() -> None:
    source = mail('<mj-image src="a.png"\n width="{{ width }}" /><mj-text>{{ a }}</mj-text>')
    assert refusal(source) == [
        "/campaign/body.mjml.j2:4: {{ width }} is lost: MJML has no place for it here,"
        " or calculates with what stands here"
    ]


def test_without_its_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mrml", None)
    with pytest.raises(UserError, match=r"an extra package: pip install 'campaign\[mjml\]'"):
        to_html(mail(""), FILE)
