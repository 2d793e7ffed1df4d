"""What an inbox shows of a message, and boxes in the place of images."""

from __future__ import annotations

import pytest

from campaign.delivery import Envelope, Message
from campaign.message.html.preheader import with_preheader
from campaign.preview.frame import framed
from campaign.preview.inbox import LONGEST, InboxLine, inbox_line
from campaign.preview.opened import OpenedMessage


def opened(html: str | None, text: str | None = None, sender: str = "Ann <ann@example.com>") -> OpenedMessage:
    message = Message("k", 1, Envelope("ann@example.com", ("ben@example.net",)), "<1@x>", (b"",))
    return OpenedMessage(message, (("From", sender), ("Subject", "News")), text, html, (), ())


@pytest.mark.parametrize(
    ("html", "beginning"),
    [
        ("<p>Dear Ann,</p><p>hello</p>", "Dear Ann, hello"),
        (
            '<div style="display:none">Spring sale&zwnj;&nbsp;&zwnj;&nbsp;</div><p>Dear Ann</p>',
            "Spring sale Dear Ann",
        ),
        ("<head><title>No</title><style>p{}</style></head><body><!-- no -->Yes<script>no</script>", "Yes"),
        ("<table><tr><td>one</td><td>two</td></tr></table>", "one two"),
        ("<p>a&#847;&#8199;&#65279;b</p>", "a b"),
        (with_preheader("<body><p>Dear Ann</p></body>", "Spring begins"), "Spring begins"),
        ("", ""),
    ],
)
def test_the_beginning_is_the_bodys_first_text(html: str, beginning: str) -> None:
    assert inbox_line(opened(html)) == InboxLine("Ann", "News", beginning)


def test_without_html_the_text_begins_it() -> None:
    line = inbox_line(opened(None, "Dear Ann,\n\n  hello\n", sender="ann@example.com"))
    assert line == InboxLine("ann@example.com", "News", "Dear Ann, hello")


def test_it_is_no_longer_than_the_widest_list() -> None:
    assert len(inbox_line(opened("<p>" + "word" * 1000)).beginning) == LONGEST


def test_an_image_on_the_network_becomes_a_box_with_alt_and_size() -> None:
    html = "<img src='https://x.example/a.png?a=1>2' width=600px height=\"200\" alt='5 > 4 & \"more\"'>"
    frame = framed(opened(html), load_images=False)
    assert frame.remote == 1
    assert "x.example" not in frame.document
    assert "data:image/svg+xml," in frame.document
    assert "600%20%C3%97%20200" in frame.document
    assert "5%20%26gt%3B%204%20%26amp%3B%20%26quot%3Bmore%26quot%3B" in frame.document
    loaded = framed(opened(html), load_images=True)
    assert "https://x.example/a.png?a=1>2" in loaded.document


@pytest.mark.parametrize(
    "tag", ['<img src="cid:1@x" alt="a">', '<img src="data:image/png;base64,AA" alt="a">', "<img>"]
)
def test_other_images_stay(tag: str) -> None:
    assert framed(opened(tag), load_images=False).document.endswith(tag)


def test_an_attribute_that_only_ends_in_src_is_none() -> None:
    tag = '<img data-src="https://x.example/lazy.png" src="https://x.example/b.png" alt="b">'
    document = framed(opened(tag), load_images=False).document
    assert 'data-src="https://x.example/lazy.png"' in document
    assert "b.png" not in document
