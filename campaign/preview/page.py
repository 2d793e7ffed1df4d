"""Messages as one self-contained HTML page: no network, no script, whatever is in them.

A message's HTML is the `srcdoc` of a sandboxed frame. The frame inherits the page's
Content-Security-Policy, which allows styles and `data:` images and nothing else. The switches are radio
buttons and CSS.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import jinja2

from campaign.address import display_address
from campaign.outfile import Kind, is_page
from campaign.preview.opened import OpenedMessage
from campaign.preview.variety import Chosen
from campaign.wording import size, visible, visible_text

PREVIEW = Kind("a page of campaign's", is_page, private=True)

# A click on a link would load it inside the frame. With this base it asks for a new window, which the
# sandbox denies.
_INERT = '<meta http-equiv="x-dns-prefetch-control" content="off"><base target="_blank">'
# Browsers connect for `<link rel=preconnect>`, and for an inner frame before the policy stops it. Mail
# programs show neither, so both are renamed to elements that do nothing.
_LINK = re.compile(r"<link\b", re.IGNORECASE)
_FRAMES = re.compile(r"<(i?frame|frameset|object|embed|fencedframe|portal)\b", re.IGNORECASE)
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{76}\n){8,}(?:[A-Za-z0-9+/]+={0,2}\n)?")
_SHOWN_LINES = 3


@dataclass(frozen=True, slots=True)
class _Shown:
    """A message as the page's template wants it; everything in it is text, not markup."""

    number: int
    line: int
    name: str
    address: str
    subject: str
    sender: str
    to: str
    why: tuple[str, ...]
    return_path: str
    recipients: tuple[str, ...]
    headers: tuple[tuple[str, str], ...]
    text: str | None
    html: str | None
    source: str
    links: tuple[tuple[str, str], ...]
    remote: int
    files: tuple[tuple[str, str, str], ...]
    size: str


def page(campaign: str, messages: Sequence[tuple[Chosen, OpenedMessage]], notes: Sequence[str]) -> str:
    """Return the page for messages of a campaign; `notes` say what will differ when it is sent."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(Path(__file__).with_name("page.html.j2").read_text(encoding="utf-8"))
    shown = [_show(chosen, opened) for chosen, opened in messages]
    with_html = any(one.html is not None for one in shown)
    return template.render(campaign=visible(campaign), messages=shown, notes=notes, with_html=with_html)


def _show(chosen: Chosen, opened: OpenedMessage) -> _Shown:
    recipient, message = chosen.recipient, opened.message
    seen = _Seen()
    if opened.html is not None:
        seen.feed(opened.html)
        seen.close()
    return _Shown(
        recipient.number,
        recipient.line,
        visible(recipient.name),
        visible(display_address(recipient.email)),
        visible(opened.header("Subject")),
        visible(opened.header("From")),
        visible(opened.header("To")),
        tuple(map(visible, chosen.why)),
        visible(message.envelope.sender),
        tuple(map(visible, message.envelope.recipients)),
        tuple((name, visible(value)) for name, value in opened.headers),
        visible_text(opened.text) if opened.text is not None else None,
        _framed(opened) if opened.html is not None else None,
        source(message.content),
        tuple((visible(" ".join(text.split())), visible(address)) for text, address in seen.links),
        seen.remote,
        tuple(
            (visible(part.name), part.content_type, size(len(part.content)))
            for part in (*opened.attachments, *opened.images)
        ),
        size(message.size),
    )


def source(content: bytes) -> str:
    """Return a message's octets as text, long base64 cut short."""
    text = content.decode("utf-8", "replace").replace("\r\n", "\n")

    def cut(match: re.Match[str]) -> str:
        lines = match[0].splitlines(keepends=True)
        left_out = len(lines) - _SHOWN_LINES
        return f"{''.join(lines[:_SHOWN_LINES])}[… {left_out:,} more lines of base64 …]\n"

    return visible_text(_BASE64.sub(cut, text))


def _framed(opened: OpenedMessage) -> str:
    """Return the frame's document: images in it, links inert."""
    html = _FRAMES.sub(r"<x-\1", _LINK.sub("<meta", opened.html or ""))
    for image in opened.images:
        if image.content_type.startswith("image/"):
            octets = b64encode(image.content).decode("ascii")
            html = html.replace(f"cid:{image.content_id}", f"data:{image.content_type};base64,{octets}")
    return _INERT + html


class _Seen(HTMLParser):
    """The links of a message's HTML, and how many of its images are loaded from the network."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[tuple[str, str]] = []
        self.remote = 0
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "a" and values.get("href"):
            self.links.append(("", values["href"] or ""))
            self._open = True
        elif tag == "img":
            self.remote += (values.get("src") or "").lower().startswith(("http:", "https:", "//"))
            self._add(values.get("alt") or "")

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag != "a"

    def handle_data(self, data: str) -> None:
        self._add(data)

    def _add(self, text: str) -> None:
        if self._open:
            before, address = self.links[-1]
            self.links[-1] = (before + text, address)
