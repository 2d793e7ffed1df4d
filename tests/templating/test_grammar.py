"""What Jinja2 cannot parse is said with its line, what is missing, and how it is written."""

from __future__ import annotations

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.templating.grammar import fault


def said(source: str) -> tuple[int, str]:
    """Return the line and the sentence for a source that Jinja2 refuses."""
    with pytest.raises(jinja2.TemplateSyntaxError) as caught:
        jinja2.Environment(autoescape=True).parse(source)
    return fault(source, caught.value.lineno, str(caught.value.message))


@pytest.mark.parametrize(
    ("source", "line", "what"),
    [
        ("Hi {{ first\nand {{ last }}", 1, "`{{ first` is not closed; write `}}` behind it"),
        ("\n{{ first }", 2, "`{{ first }` ends with one `}`; write `}}`"),
        ("\n{{ first %}", 2, "`{{ first %}` ends with `%}`; write `}}`"),
        ("{% if a == 'x' }}b{% endif %}", 1, "`{% if a == 'x' }}` ends with `}}`; write `%}`"),
        ('{{ a["x }}', 1, '`{{ a["x }}` has a quote that is not closed'),
        ("a\n{% if a %}\n\nx", 2, "`{% if a %}` is not closed: `{% endif %}` is missing"),
        ("{% for a in b %}\n{% if a %}", 2, "`{% if a %}` is not closed: `{% endif %}` is missing"),
        ("{% set a %}x", 1, "`{% set a %}` is not closed: `{% endset %}` is missing"),
        ("{% raw %}{{ x", 1, "`{% raw %}` is not closed: `{% endraw %}` is missing"),
        ("a\n{% endif %}", 2, "`{% endif %}` belongs to no `{% if … %}` above it"),
        ("{% else %}", 1, "`{% else %}` belongs to no `{% if … %}` or `{% for … %}` above it"),
        (
            "{% for a in b %}\n{% endif %}",
            2,
            "`{% endif %}` stands where `{% for a in b %}` of line 1 lacks its `{% endfor %}`",
        ),
        ("{% if a = 'x=y' %}{% endif %}", 1, "`=` compares nothing: write `==` (in `{% if a = 'x=y' %}`)"),
        (
            "{{ a = 1 }}",
            1,
            "`{{ a = 1 }}` prints nothing: to set a value write `{% set a = 1 %}`, to compare `==`",
        ),
        ("{% if a === 1 %}{% endif %}", 1, "`===` is written `==` (in `{% if a === 1 %}`)"),
        ("{% if a %}{% end if %}", 1, "`{% end if %}` is no statement of Jinja2; write `{% endif %}`"),
        ("{% iff a %}{% endif %}", 1, "`{% iff a %}` is no statement of Jinja2; did you mean 'if'?"),
        ("{{ }}", 1, "there is nothing in `{{ }}`"),
        ("{{ (a }}", 1, "`(` is not closed (in `{{ (a }}`)"),
        ("{{ a and }}", 1, "something is missing before `}}` (in `{{ a and }}`)"),
        ("{% for a b %}{% endfor %}", 1, "expected 'in', got 'b' (in `{% for a b %}`)"),
        ("{{ a(b(1), c=2) d }}", 1, "expected `}}`, got 'd' (in `{{ a(b(1), c=2) d }}`)"),
    ],
)
def test_what_is_missing(source: str, line: int, what: str) -> None:
    assert said(source) == (line, what)


_PIECES = [
    "{{",
    "}}",
    "{%",
    "%}",
    "{#",
    "#}",
    " if ",
    "endif",
    "for",
    " in ",
    "set",
    "raw",
    "=",
    "'",
    '"',
    "a",
    "\n",
    "(",
    "|",
]


@given(st.lists(st.sampled_from(_PIECES), max_size=30).map("".join))
def test_whatever_is_refused_has_a_line_and_a_sentence(source: str) -> None:
    try:
        jinja2.Environment(autoescape=True).parse(source)
    except jinja2.TemplateSyntaxError as error:
        line, words = fault(source, error.lineno, str(error.message))
        assert 1 <= line <= source.count("\n") + 1
        assert words
