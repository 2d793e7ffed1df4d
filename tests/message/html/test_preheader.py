"""The preheader's block, and parameters on links."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.campaignfile.load import load
from campaign.checks import spam
from campaign.errors import UserError
from campaign.message.html import plaintext
from campaign.message.html.preheader import ROOM, with_preheader
from campaign.message.html.utm import with_parameters
from campaign.message.render import Renderer
from campaign.message.tokens import Secrets
from campaign.preparation import compile_campaign
from campaign.recipients.list import Recipients
from tests.folder import write_campaign
from tests.need import need

DOMAINS = ("example.com",)
UTM = {"utm_source": "news letter", "utm_medium": "email", "utm_term": ""}
ADDED = "utm_source=news+letter&amp;utm_medium=email"


def compiled(file: Path) -> tuple[Recipients, Renderer]:
    return compile_campaign(load(file), Secrets.placeholder())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<!DOCTYPE html><html><head><title>T</title></head><body class='a > b'>", "<p>Hi</p></body></html>"),
        ("<!-- <body> --><style>body{}</style><BODY>", "Hi"),
        ("", "<p>Hi</p>"),
        ("<!DOCTYPE html>\n<html><head></head>", "<p>Hi</p>"),
        ("", "Hi <b>there</b>"),
        ("", ""),
    ],
)
def test_the_block_begins_the_body(before: str, after: str) -> None:
    html = with_preheader(before + after, " Spring <sale> \n begins ")
    assert html.startswith(f'{before}<div style="display:none;')
    assert html.endswith(f"</div>{after}")
    assert ">Spring &lt;sale&gt; begins&#847;&zwnj;&nbsp;" in html
    assert html.count("&#847;") == ROOM - len("Spring <sale> begins")


def test_it_is_no_part_of_the_text() -> None:
    assert plaintext.from_html(with_preheader("<body><p>Hi</p></body>", "Hidden")) == "Hi\n"


def test_no_filter_counts_it_as_invisible_text(tmp_path: Path) -> None:
    file = write_campaign(
        tmp_path,
        {
            "list.csv": "email\nann@somewhere.org\n",
            "body.html": "<body><p>Dear Ann, the swifts are here.</p>",
        },
        templates={"html": "body.html"},
        preheader="Three dates for your diary",
    )
    recipients, renderer = compiled(file)
    message = renderer.render(recipients.row(1), date=datetime.now(UTC))
    (judged,) = spam.judge([message.content], str(need("spamassassin")))
    assert [hit for hit in judged.hits if "INVIS" in hit.rule or "FONT" in hit.rule] == []


@given(st.text(), st.text(max_size=200))
def test_a_page_loses_nothing(html: str, text: str) -> None:
    made = with_preheader(html, text)
    added = len(made) - len(html)
    assert any(made[:at] + made[at + added :] == html for at in range(len(html) + 1))
    assert (added > 0) == bool(text.split())


@pytest.mark.parametrize(
    ("link", "tagged"),
    [
        ('<a href="https://example.com/">x</a>', f'<a href="https://example.com/?{ADDED}">x</a>'),
        (
            '<a href="https://www.EXAMPLE.com/a?b=1#top">',
            f'<a href="https://www.EXAMPLE.com/a?b=1&amp;{ADDED}#top">',
        ),
        ("<a class=x href=http://example.com/a>", f'<a class=x href="http://example.com/a?{ADDED}">'),
        (
            "<a href='https://example.com?a=1&amp;b=2'>",
            f"<a href='https://example.com?a=1&amp;b=2&amp;{ADDED}'>",
        ),
        ('<area href="https://example.com/m">', f'<area href="https://example.com/m?{ADDED}">'),
        (
            '<a href="https://example.com/?utm_source=own">',
            '<a href="https://example.com/?utm_source=own&amp;utm_medium=email">',
        ),
        ('<a href="https://example.com/?UTM_Source=a&utm_medium=b">', None),
        ('<a href="https://example.org/">', None),
        ('<a href="https://notexample.com/">', None),
        ('<a href="mailto:ann@example.com">', None),
        ('<a href="#top">', None),
        ('<a href="/path">', None),
        ('<a name="here">', None),
        ('<img src="https://example.com/a.png">', None),
        ('<!-- <a href="https://example.com/"> -->', None),
        ('<a href="https://example.com/u?t=1&amp;x=2">leave</a>', None),
        ('<a href="https://[bad">', None),
    ],
)
def test_links_to_own_domains_get_parameters(link: str, tagged: str | None) -> None:
    unsubscribe = "https://example.com/u?t=1&x=2"
    page = f"<p>{link}</p><a href='https://other.test'>"
    expected = f"<p>{link if tagged is None else tagged}</p><a href='https://other.test'>"
    assert with_parameters(page, DOMAINS, UTM, unsubscribe) == expected


def test_twice_is_once() -> None:
    page = '<a href="https://example.com/a?b#c">x</a>'
    once = with_parameters(page, DOMAINS, UTM, "")
    assert with_parameters(once, DOMAINS, UTM, "") == once


@given(st.text())
def test_nothing_else_changes(html: str) -> None:
    assert with_parameters(html, ("example.invalid",), UTM, "") == html


def test_both_in_a_message(tmp_path: Path) -> None:
    links = "<a href='https://example.com/a'>a</a><a href='{{ unsubscribe.url }}'>u</a>"
    html = f"<body><p>Dear {{{{ name }}}}</p>{links}</body>"
    file = write_campaign(
        tmp_path,
        {"list.csv": "email,name\nann@example.net,Ann\n", "body.html": html},
        templates={"html": "body.html"},
        preheader="For {{ name }} & <you>",
        utm={"domains": ["example.com"], "utm_source": "news", "utm_content": "{{ name }}"},
        unsubscribe={"url": "https://example.com/u/{{ bounce.token }}"},
    )
    recipients, renderer = compiled(file)
    text, page = renderer.parts(recipients.row(1))
    assert page is not None
    assert text is not None
    assert ">For Ann &amp; &lt;you&gt;&#847;" in page
    assert "https://example.com/a?utm_source=news&amp;utm_content=Ann" in page
    assert page.count("utm_") == 2
    assert "For Ann" not in text
    assert "https://example.com/a?utm_source=news&utm_content=Ann" in text


@pytest.mark.parametrize("sender", ["News <news@Example.com>", "{{ name }} <news@example.com>"])
def test_links_to_the_sender_s_own_domain_get_parameters(tmp_path: Path, sender: str) -> None:
    html = "<a href='https://www.example.com/a'>a</a><a href='https://example.org/b'>b</a>"
    changes: dict[str, Any] = {
        "from": sender,
        "utm": {"utm_source": "news"},
        "templates": {"html": "body.html"},
    }
    file = write_campaign(
        tmp_path, {"list.csv": "email,name\nann@example.net,Ann\n", "body.html": html}, **changes
    )
    recipients, renderer = compiled(file)
    _, page = renderer.parts(recipients.row(1))
    assert page is not None
    assert "https://www.example.com/a?utm_source=news" in page
    assert page.count("utm_") == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"preheader": "Hi"}, "preheader: needs an HTML part, and there is none"),
        ({"utm": {"domains": "example.com", "utm_source": "a"}}, "utm: needs an HTML part"),
        ({"utm": {"domains": "example.com"}}, "utm: has no parameter"),
        (
            {
                "utm": {"utm_source": "a"},
                "from": "news@{{ name }}.example",
                "templates": {"html": "body.html"},
            },
            "utm: needs `domains`",
        ),
        ({"preheader": "{{ nobody }}", "templates": {"html": "body.html"}}, "'nobody' is not defined"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    file = write_campaign(tmp_path, {"body.html": "<p>Hi</p>"}, **changes)
    with pytest.raises(UserError) as caught:
        compiled(file)
    assert said in str(caught.value)
