"""An HTML part in its pieces."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.checks import page as pages
from campaign.checks.page import Page


@pytest.mark.parametrize(
    ("html", "tags"),
    [
        ('<p class="a">x</p><P CLASS=a>y<br/>', [("p", {"class": "a"}), ("p", {"class": "a"}), ("br", {})]),
        ("<p title='a > b'>x<img alt=\"<b>\" src=x>",
         [("p", {"title": "a > b"}), ("img", {"alt": "<b>", "src": "x"})]),
        ("a <b and c < d <i>x</i>", [("i", {})]),
        ("<!-- <p> --><style>p > a{}</style><script>if (a<b) {}</script><title><p></title><td\nalign=left>",
         [("td", {"align": "left"})]),
        ("<a href='?a=1&amp;b=2' hidden>x</a>", [("a", {"href": "?a=1&b=2", "hidden": ""})]),
    ],
)  # fmt: skip
def test_tags(html: str, tags: list[tuple[str, dict[str, str]]]) -> None:
    assert [(tag.name, dict(tag.attributes)) for tag in Page(html).tags] == tags


def test_links_and_words() -> None:
    page = Page(
        "<a name='x'></a><a href='https://x.test'><b>The&nbsp;shop</b>\n now</a><style>.a{}</style>&amp;"
    )
    (link,) = page.links
    assert (link.tag.attributes["href"], link.text) == ("https://x.test", "The shop now")
    assert page.styles == (".a{}",)
    assert page.text == "The shop now &"


_PARTS = re.compile(
    r"<!--.*?-->|<style(?:\s[^>]*)?>(.*?)</style\s*>|<script(?:\s[^>]*)?>.*?</script\s*>"
    r"|<title(?:\s[^>]*)?>.*?</title\s*>",
    re.DOTALL,
)
_LINKS = re.compile(r"(<a\s[^<>]*>)(.*?)</a\s*>", re.DOTALL)
BITS = ["<!--", "-->", "<style>", "</style>", "<style a>", "<script>", "</script >", "<title>", "</title>"]
BITS += ["<a href=x>", "<a name=y>", "</a>", "<b>", "x"]


@given(st.lists(st.sampled_from(BITS), max_size=25).map("".join))
def test_pieces_are_those_of_one_expression(html: str) -> None:
    page = Page(html)
    pieces = _PARTS.split(html)
    assert page.body == "".join(piece for piece in pieces[::2] if piece)
    assert page.styles == tuple(piece for piece in pieces[1::2] if piece)
    links = dict.fromkeys(link for link in _LINKS.findall(page.body) if "href" in link[0])
    assert [(link.tag.written, link.inside) for link in page.links] == list(links)


@given(st.text(alphabet="<>/ab='\" \n!-&;", max_size=60))
def test_any_html_has_its_pieces(html: str) -> None:
    page = Page(html)
    assert all(re.match("[a-z]", tag.name) for tag in page.tags)
    assert isinstance(page.text, str)
    assert len(page.links) >= 0


@given(
    st.lists(
        st.sampled_from(["<p>", '<p class="a">', "<a href='x'>", "x", "</p>", "<br>", "\n"]), max_size=20
    )
)
def test_the_short_way_finds_the_same_tags(pieces: list[str]) -> None:
    html = "".join(pieces)
    assert [tag.written for tag in Page(html).tags] == list(dict.fromkeys(pages._TAG.findall(html)))
