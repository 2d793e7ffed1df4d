"""Styles that mail programs do not read are named where they are written, and stop no row."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.errors import UserError
from tests.checks.conftest import Found, Said


@pytest.mark.parametrize(
    ("style", "piece"),
    [
        ("color #333; font-size:14px", "color #333"),
        ("width:10px;height", "height"),
        ("*zoom:1", "*zoom:1"),
        ("color:red; font-family:'Arial", "font-family:'Arial"),
        ("a:b;x:{a};c:d", "x:{a}"),
        ("background:url(data:image/png;base64,xx);color", "color"),
        ("color: {{ first }}; size {{ first }}", "size {{ first }}"),
    ],
)
def test_a_malformed_style_is_one_warning(said: Said, style: str, piece: str) -> None:
    (only,) = said("styles", html=f'<style>p{{x:y}}</style>\n<p\n style="{style}">Hi</p>')
    place, _, what = only.partition(": warning: ")
    assert place == "body.html:3"
    assert what.startswith(f"{piece!r} is not a declaration")
    assert what.endswith(f'style="{style}"')


@pytest.mark.parametrize(
    "html",
    [
        "<p style='color:red;;'>",
        "<p style=''>",
        "<p style='{{ first }}'>",
        "<p style='color:{{ first }};{% if first %}width:{{ first }}px{% endif %}'>",
        "<p style='background:url(a;b)'>",
        "<a title=\"{{ 'a' if first > 'b' }}\" style='color:red'>",
        "<link rel=icon href=https://x.test/a.ico>",
        "<p>style='color'",
    ],
)
def test_others_are_silent(said: Said, html: str) -> None:
    assert said("styles", html=html) == []


@pytest.mark.parametrize(
    "address",
    [
        "https://fonts.googleapis.com/css2?family=Roboto:wght@400;700&display=swap",
        "//fonts.bunny.net/css?family=a",
        "https://use.typekit.net/abc1def.css",
    ],
)
def test_web_fonts_are_no_sheet_that_is_missed(said: Said, address: str) -> None:
    imported = f"<style>@import url('{address}');</style>"
    assert said("styles", html=f'<link href="{address}" rel="stylesheet">{imported}<p>Hi') == []


def test_a_sheet_on_a_server_is_a_warning(found: Found) -> None:
    html = "<link rel=stylesheet href='https://x.test/a.css'>\n<style>\n@import url(//x.test/b.css);</style>"
    first, second = found("styles", html=html)
    assert (first.line, second.line) == (1, 3)
    assert first.message.startswith("the style sheet 'https://x.test/a.css' is on a server")
    assert second.message.startswith("the style sheet '//x.test/b.css' is on a server")


def test_a_local_sheet_travels_only_inlined(said: Said) -> None:
    Path("a.css").write_text("p{color:red}")
    html = "<link rel=stylesheet href=a.css><p>Hi"
    assert said("styles", html=html) == []
    (only,) = said("styles", html=html, inline_css=False)
    assert only == (
        "body.html:1: warning: the style sheet 'a.css' is not sent with the message;"
        " it is inlined if inline_css is true"
    )


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("css/no.css", "there is no file css/no.css in the campaign's folder"),
        ("../out.css", "../out.css lies outside the campaign's folder"),
        ("list.csv", "list.csv is not a template: the list, the ledger, secrets"),
    ],
)
def test_a_sheet_that_cannot_be_read_is_an_error(said: Said, address: str, what: str) -> None:
    with pytest.raises(UserError) as caught:
        said("styles", html=f"<p>\n<link rel=stylesheet href='{address}'>")
    (only,) = caught.value.problems
    assert str(only).startswith(f"body.html:2: {what}")
