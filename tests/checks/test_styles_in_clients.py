"""Rules about what becomes of styles and elements in mail programs, and about the two parts' words."""

from __future__ import annotations

import json

import pytest

from campaign.checks.rules.clients import DATA, features
from tests.checks.conftest import Found, Said

MEDIA = "<style>{inline}@media (max-width:480px){{{rule}}}</style>\n<p class='m' id='i'>Hi"


@pytest.mark.parametrize(
    ("inline", "rule", "what"),
    [
        (".m{display:none}", ".m{display:block}", "display of `.m`"),
        (".m{display:none}", "p.m{display:block}", "display of `p.m`"),
        ("#i{padding:1px}", "p{padding-left:0}", "padding-left of `p`"),
        ("p{padding-left:1px}", "p{padding:0}", "padding of `p`"),
        ("p{width:1px;height:1px}", ".m{width:2px;height:2px}", "width, height of `.m`"),
    ],
)
def test_a_media_rule_that_a_style_beats(said: Said, inline: str, rule: str, what: str) -> None:
    (only,) = said("media", html=MEDIA.format(inline=inline, rule=rule))
    assert only.startswith("body.html:1: warning: ")
    assert f"{what} under `@media (max-width:480px)` has no effect" in only


@pytest.mark.parametrize(
    ("inline", "rule"),
    [
        (".m{display:none}", ".m{display:block!important}"),
        (".m{display:none}", ".x .m{display:block}"),
        (".m{display:none}", "td.m{display:block}"),
        (".m{width:0}", ".m{width:0px}"),
        (".m{color:red}", ".m{background:red}"),
        (".m{color:red}", ".m:hover{color:blue}"),
        (".m{color:red}", "*{color:blue}"),
        (".m{border-top:0}", ".m{border-bottom:1px solid}"),
        (".m{color:red", ".m{color"),
    ],
)
def test_a_media_rule_that_holds(said: Said, inline: str, rule: str) -> None:
    assert said("media", html=MEDIA.format(inline=inline, rule=rule)) == []


@pytest.mark.parametrize(("above", "times"), [("x", 1), ("y", 0)])
def test_a_selector_with_something_above(said: Said, above: str, times: int) -> None:
    """The same class stands elsewhere too."""
    style = "<style>.m{display:none}@media (max-width:480px){.x td.m{display:block}}</style>"
    table = "<table class='{}'><tr><td class='m'>Hi<br></table>"
    html = f"{style}{table.format(above)}<p class='x'>Hi</p>{table.format('z')}"
    assert len(said("media", html=html)) == times


@pytest.mark.parametrize(
    ("media", "times"),
    [("(max-width:480px)", 1), ("only screen and (max-width:480px)", 1), ("print", 0), ("screen", 0)],
)
def test_the_media_of_a_style_element_is_a_condition_too(said: Said, media: str, times: int) -> None:
    style = f'<style media="{media}">.m{{display:block}}</style>'
    html = f'<style>.m{{display:none}}</style>{style}<p class="m">Hi'
    assert len(said("media", html=html)) == times


@pytest.mark.parametrize(
    ("css", "what"),
    [
        ("@supports (x:y){.m{color:blue}}", "color of `.m` under `@supports (x:y)`"),
        ("@supports (x:y){@media (a){.m{color:blue}}}", "color of `.m` under `@media (a)`"),
        ("@media (a){@supports (x:y){.m{color:blue}}}", "color of `.m` under `@supports (x:y)`"),
        ("@container (a){p{color:blue}}", "color of `p` under `@container (a)`"),
        (".m{color:blue;b{x:y}}", "color of `.m` among nested rules"),
        ("i,div{x:y;&.n,.m{color:blue}}", "color of `div .m` among nested rules"),
        ("div{> p{&.m{color:blue}}}", "color of `div > p.m` among nested rules"),
        (".m:nth-child(2 of .m){color:blue}", "color of `.m:nth-child(2 of .m)` in the style sheet"),
        ("div > p:nth-last-child(odd of p:not(.a)){color:blue}", "color of `div > p:nth-last-child(odd of"),
        ("p:dir(ltr){color:blue}", "color of `p:dir(ltr)` in the style sheet"),
        ("p:lang('*-CH'){color:blue}", 'color of `p:lang("*-CH")` in the style sheet'),
        ("p:dir(ltr){color:blue!important}", ""),
        (".n:dir(ltr){color:blue}", ""),
        ("p:hover{color:blue}", ""),
        ("p:lang(de){color:blue}", ""),  # it is inlined
        ("@layer a{.m{color:blue}}", ""),  # it is the weaker one anyway
        ("@supports (x:y){.m{color:blue!important}}", ""),
        ("@supports (x:y){.n{color:blue}}", ""),
        ("div{.n{color:blue}}", ""),
        ("@font-face{color:blue}", ""),
        ("@media print{@supports (x:y){.m{color:blue}}}", ""),
    ],
)
def test_other_rules_that_a_style_beats(said: Said, css: str, what: str) -> None:
    found = said("media", html=f"<style>p{{color:red}}{css}</style>\n<div><p class='m'>Hi</div>")
    assert [what in one and "has no effect" in one for one in found] == [True] * bool(what)


def test_a_rule_for_print_is_not_looked_at(said: Said) -> None:
    html = "<style>.m{display:block}@media print{.m{display:none}}</style><p class='m'>Hi"
    assert said("media", html=html) == []


@pytest.mark.parametrize(
    ("html", "what"),
    [
        (
            "<style>.a{display: flex}</style>\n<p class='a'>Hi",
            "1: note: display:flex is not supported by Outlook on",
        ),
        ("\n<p style='display:grid'>Hi", "2: note: display:grid is not supported by Outlook on Windows"),
        (
            "\n<video src='https://x.test/a.mp4'></video>",
            "2: note: <video> element is not supported by Gmail",
        ),
        ("\n<svg></svg>", "2: note: Embedded <svg> image is not supported by Gmail"),
        (
            "\n<img src='https://x.test/a.webp'>",
            "2: note: webP image format is not supported by Outlook on W",
        ),
        ("<p style='width:calc(1px + 2px)'>\n<p style='width:calc(1px + 1px)'>", "also in line 2"),
        ("<style>.a:has(b){color:red}</style><p class='a'>", ":has() is not supported by"),
        ("<style>@import url(https://x.test/a.css);</style><p>", "@import is not supported by"),
    ],
)
def test_what_programs_do_not_support(said: Said, html: str, what: str) -> None:
    (only,) = said("clients", html=html)
    assert what in only


@pytest.mark.parametrize(
    "html",
    [
        "<p style='border-radius:3px;max-width:600px;background-color:red;opacity:1;position:static'>Hi",
        "<style>@media (max-width:480px){.a{display:flex}}</style><p>Hi",
        "<!--[if mso]><svg></svg><![endif]--><p>The flexbox: display:flex is not for mail",
        "<img src='https://x.test/a.png?from=a.webp'>",
        "<table style='border-collapse:collapse' width='100%'><tr><td style='padding:1px 2px'>Hi</table>",
    ],
)
def test_what_programs_support(said: Said, html: str) -> None:
    assert said("clients", html=html) == []


def test_rows_that_use_it(found: Found) -> None:
    (only,) = found("clients", html="{% if first == 'Ben' %}<form>{% endif %}<p>{{ first }}")
    assert only.message.startswith("<form> element is not supported by ")
    assert only.message.endswith(" (row 2)")


def test_the_data_has_its_licence_and_its_clients() -> None:
    data = json.loads(DATA.read_text("utf-8"))
    assert "Copyright (c) 2019 Rémi Parmentier" in data["licence"]
    assert "Permission is hereby granted" in data["licence"]
    for feature in features().values():
        assert feature.clients
        assert feature.kind in ("declaration", "sheet", "tag")


WORDS = (
    "Spring arrives with swifts over every town, and volunteers count them from their balconies until June."
)
OTHER = "Winter sale: boots, jackets, scarves, gloves, candles, lanterns, firewood, kettles, chairs, sofas."


def test_a_text_part_of_another_letter(said: Said) -> None:
    (only,) = said("textpart", text=OTHER, html=f"<p>{WORDS}")
    assert only.startswith("body.txt: warning: most words of the text part are not in the HTML part")


def test_a_text_part_that_says_nothing(said: Said) -> None:
    many = " ".join(f"word{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(100))
    text = "Your program shows no HTML."
    (only,) = said("textpart", text=text, html=f"<p>{WORDS} {many}")
    assert "the text part says almost nothing" in only
    assert said("textpart", text=f"{text} See https://x.test/letter", html=f"<p>{WORDS} {many}") == []


@pytest.mark.parametrize(
    ("text", "html"),
    [
        (WORDS, f"<table><tr><td>{WORDS.replace(' ', '<b> </b>')}</table>"),
        (f"{WORDS}\n\nhttps://x.test/a/very/long/address/of/something\nann@x.test", f"<p>{WORDS}"),
        ("Hi", "<p>Hello"),
        ("", f"<p>{WORDS}"),
    ],
)
def test_a_text_part_that_agrees(said: Said, text: str, html: str) -> None:
    assert said("textpart", text=text, html=html) == []


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize(
    "html",
    [
        f"<style>a{{b:{'(' * 20_000}}}</style><p>Hi",
        f"<style>{'@media x{' * 5_000}p{{a:b}}</style><p style='a:c'>Hi",
        f"<style>p:not{'(:not' * 5_000}{{a:b}}</style><p>Hi",
        f"<p style='a:{'[' * 20_000}'>Hi",
    ],
    ids=range(4),
)
def test_brackets_without_end_are_no_bug_of_ours(said: Said, html: str, inline: bool) -> None:
    for rule in ("media", "clients", "styles"):
        said(rule, html=html, inline_css=inline)
