"""Make a document for a sandboxed frame from a message's HTML: images embedded, links inert, nothing loaded.

Images on the network become grey boxes with their alt text and size, unless they are to be loaded: then
the page's policy allows them.
"""

from __future__ import annotations

import html as entities
import re
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import quote

from campaign.preview.opened import OpenedMessage, Part

# A click on a link would load it inside the frame. With this base it requests a new window, which the
# sandbox denies.
_INERT = '<meta http-equiv="x-dns-prefetch-control" content="off"><base target="_blank">'
# Browsers connect for `<link rel=preconnect>`, and for an inner frame before the policy stops it. Mail
# programs show neither, so both are renamed to elements without effect.
_LINK = re.compile(r"<link\b", re.IGNORECASE)
_FRAMES = re.compile(r"<(i?frame|frameset|object|embed|fencedframe|portal)\b", re.IGNORECASE)
_IMAGE = re.compile(r"""<img\b(?:[^>"']|"[^"]*"|'[^']*')*>""", re.IGNORECASE)
_SOURCE = re.compile(r"""(?<=[\s"'])src\s*=\s*("[^"]*"|'[^']*'|[^\s>]+)""", re.IGNORECASE)
_LENGTH = re.compile(r"\s*([0-9]{1,4})(?:px)?\s*")
_REMOTE = ("http:", "https:", "//")
_BOX = (200, 60)  # pixels of a box for an image without a size
_LINE = 24  # pixels of a line of text in a box


@dataclass(frozen=True, slots=True)
class Framed:
    """The frame's HTML (`document`), its `links` as (text, address), and the number of network images."""

    document: str
    links: tuple[tuple[str, str], ...]
    remote: int


def framed(opened: OpenedMessage, *, load_images: bool) -> Framed:
    """Return the frame's document for a message that has an HTML part."""
    html = opened.html or ""
    seen = _Seen()
    seen.feed(html)
    seen.close()
    html = _FRAMES.sub(r"<x-\1", _LINK.sub("<meta", html))
    if not load_images:
        html = _IMAGE.sub(_boxed, html)
    return Framed(_INERT + with_images(html, opened.images), tuple(seen.links), seen.remote)


def with_images(html: str, images: Iterable[Part]) -> str:
    """Return the HTML with the message's own images embedded."""
    for image in images:
        if image.content_type.startswith("image/"):
            octets = b64encode(image.content).decode("ascii")
            html = html.replace(f"cid:{image.content_id}", f"data:{image.content_type};base64,{octets}")
    return html


def _boxed(tag: re.Match[str]) -> str:
    """Return an image's tag, with a grey box instead of an image on the network."""
    attributes = _attributes(tag[0])
    if not attributes.get("src", "").strip().lower().startswith(_REMOTE):
        return tag[0]
    width, height = (_LENGTH.fullmatch(attributes.get(name, "")) for name in ("width", "height"))
    size = (int(width[1]) if width else _BOX[0], int(height[1]) if height else _BOX[1])
    named = f"{size[0]} × {size[1]}" if width and height else "no size"
    box = _box(attributes.get("alt", "").strip(), named, *size)
    return _SOURCE.sub(f'src="data:image/svg+xml,{quote(box)}"', tag[0], count=1)


def _box(alt: str, named: str, width: int, height: int) -> str:
    words = [word for word in (alt or "(no alt text)", named) if word]
    lines = words if height >= 2 * _LINE else words[:1]
    texts = "".join(
        f'<text x="50%" y="50%" dy="{(place - (len(lines) - 1) / 2) * 1.4 + 0.35:.2f}em">'
        f"{entities.escape(line[:60])}</text>"
        for place, line in enumerate(lines)
    )
    style = "font-family='sans-serif' font-size='13' text-anchor='middle' fill='#4a4f4c'"
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}'>"
        f"<rect width='100%' height='100%' fill='#d9dcd8'/><g {style}>{texts}</g></svg>"
    )


def _attributes(tag: str) -> dict[str, str]:
    parser = _Tag()
    parser.feed(tag)
    parser.close()
    return parser.attributes


class _Tag(HTMLParser):
    """The attributes of one tag; of duplicates, the first counts, as in browsers."""

    def __init__(self) -> None:
        super().__init__()
        self.attributes: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            self.attributes.setdefault(name, value or "")


class _Seen(HTMLParser):
    """The links of a message's HTML, and the number of its images on the network."""

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
            self.remote += (values.get("src") or "").strip().lower().startswith(_REMOTE)
            self._add(values.get("alt") or "")

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag != "a"

    def handle_data(self, data: str) -> None:
        self._add(data)

    def _add(self, text: str) -> None:
        if self._open:
            before, address = self.links[-1]
            self.links[-1] = (before + text, address)
