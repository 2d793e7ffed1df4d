"""What swallows the rest of a mail is named, where it begins."""

from __future__ import annotations

import pytest

from tests.checks.conftest import Said

PAGE = "<html>\n<head><style>p{color:red}</style><title>T</title></head>\n<body><!-- a -->\n"


@pytest.mark.parametrize(
    ("begins", "ends"),
    [("<style>", "</style>"), ("<title>", "</title>"), ("<script>", "</script>"), ("<!--", "-->")],
)
def test_what_is_not_closed_is_named_with_its_line(said: Said, begins: str, ends: str) -> None:
    (only,) = said("unclosed", html=f"{PAGE}{begins} x\n<p>Dear {{{{ first }}}}</p>\n{begins}</body></html>")
    assert only.startswith(f"body.html:4: `{begins}` is not closed, so that what follows is not shown (")
    assert only.endswith(f"; write `{ends}` behind it")
    assert said("unclosed", html=f"{PAGE}{begins} x {ends}<p>Dear {{{{ first }}}}</p></body></html>") == []


def test_with_attributes_and_in_capitals(said: Said) -> None:
    (only,) = said("unclosed", html=f"{PAGE}\n<STYLE type='text/css'>p{{}}<p>Dear {{{{ first }}}}</p>")
    assert only.startswith("body.html:5: `<style>` is not closed")


@pytest.mark.parametrize(
    "html",
    [
        "<!--[if !mso]><!--><p>Hi</p><!--<![endif]-->",
        "<!--[if mso]><style>p{}</style><![endif]--><p>Hi</p>",
        "<!--><p>Hi</p>",
        "<title>a <style> b</title><p>Hi</p>",
        "<style>/* <!-- */</style><p>Hi</p>",
        "<p>a < b, and &lt;style&gt;</p>",
        "{# <style> #}<p>Hi</p>",
    ],
)
def test_what_is_closed(said: Said, html: str) -> None:
    assert said("unclosed", html=html) == []


def test_a_cell_that_opens_it_is_escaped(said: Said) -> None:
    people = "email,first\nann@x.test,<style>\n"
    assert said("unclosed", people, html="<p>{{ first }}</p>") == []
    (only,) = said("unclosed", people, html="<p>{{ first|safe }}</p>")
    assert only.startswith("body.html: `<style>` is not closed")
