"""An image that nobody will see, or not everybody.

- A local file in a place that cannot be embedded: `url()` in a style, `srcset`. Files in `<img src>` and
  `background` are embedded in the message.
- At `file:`, on localhost, or at a `cid:` that the message does not have: an error.
- In the HTML itself (`data:`): Gmail and Outlook do not show it (caniemail.com/features/image-base64).
- Without `alt`, the only thing that is shown if images are blocked; `alt=""` means that it is decoration.
- Without a width or height: Outlook on Windows shows it in the file's size, and other programs make room
  for it only when it has loaded. A note.
- Embedded images of more than 1 MB in total.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain

from campaign.checks.addresses import is_of_this_machine
from campaign.checks.finding import Finding
from campaign.checks.page import Tag
from campaign.checks.rule import Rule
from campaign.checks.seen import Seen
from campaign.errors import Severity
from campaign.message.html.images import is_local
from campaign.model import Recipient
from campaign.wording import size

MOST = 1_000_000
"""Octets of all images of a message."""

_URL = re.compile(r"""\burl\(\s*["']?([^"')]+)""", re.IGNORECASE)
_SIZED = re.compile(r"(?:^|[;\s])(?:max-)?(?:width|height)\s*:", re.IGNORECASE)
_DOT = ("0", "1", "0px", "1px")  # the width of a tracking pixel


class Check(Rule):
    """Reports images that some or all readers will not see."""

    def see(self, recipient: Recipient, message: Seen) -> Iterator[Finding]:
        page = message.page
        if page is None:
            return
        carried = {image.content_id: image for image in message.images}
        named = [(tag.attributes.get("src", ""), tag) for tag in page.images]
        named += [(tag.attributes["background"], tag) for tag in page.tags if "background" in tag.attributes]
        for address, tag in named:
            for severity, what in _judged(tag, address):
                file = carried[address[4:]].name if address[4:] in carried else ""
                yield self._fault(severity, what, file, tag)
            if address[:4].lower() == "cid:" and address[4:] not in carried:
                what = f"the message has no image {address[:80]!r}; name its file to embed it"
                yield self._fault(Severity.ERROR, what, "", tag)
        for address in _brought_by_nothing(page.tags, page.styles):
            what = f"{address[:80]!r} is in a style or a srcset, where files are not embedded"
            place = self.in_html(address)
            yield self.find(self.at(place, f"{what}; write an https address, or <img src>"))
        weight = sum(image.size for image in carried.values())
        if weight > MOST:
            what = f"the images have {size(weight)} in total; phones load them slowly, and filters notice"
            yield self.find(self.at(self.in_html(""), what, same="weight"))

    def _fault(self, severity: Severity, what: str, file: str, tag: Tag) -> Finding:
        written = file or tag.raw.get("src") or tag.raw.get("background") or ""
        return self.find(self.at(self.in_html(written), what, severity))


@lru_cache(maxsize=1024)
def _judged(tag: Tag, address: str) -> tuple[tuple[Severity, str], ...]:
    """Return the faults of an image that do not depend on the rest of its message."""
    return tuple(_faults(tag, address))


def _faults(tag: Tag, address: str) -> Iterator[tuple[Severity, str]]:
    shown = address if len(address) <= 60 else f"{address[:59]}…"
    if not address:
        yield Severity.WARNING, "an image has no address"
    elif is_of_this_machine(address):
        yield Severity.ERROR, f"the image {shown!r} is on this machine, and nobody else can see it"
    elif address[:5].lower() == "data:":
        what = "an image is written into the HTML (data:): Gmail and Outlook do not show it"
        yield Severity.WARNING, f"{what}; name its file to embed it in the message"
    if tag.name != "img" or tag.attributes.get("width") in _DOT or tag.attributes.get("height") in _DOT:
        return
    # Without this, each image that a row names would be a finding of its own.
    named = (
        f"the image {shown!r}"
        if address and not address.lower().startswith(("cid:", "data:"))
        else "an image"
    )
    if "alt" not in tag.attributes:
        what = f"{named} has no alt: nothing is shown instead if images are blocked"
        yield Severity.WARNING, f'{what}; alt="" if it is decoration'
    if not {"width", "height"} & tag.attributes.keys() and not _SIZED.search(tag.style):
        yield Severity.NOTE, f"{named} has no width: Outlook shows it in the size of its file"


def _brought_by_nothing(tags: list[Tag], styles: tuple[str, ...]) -> list[str]:
    """Return the addresses of local files in styles and srcsets, which are not embedded."""
    styled = [tag for tag in tags if "style" in tag.attributes or "srcset" in tag.attributes]
    return list(dict.fromkeys(chain(*map(_of_tag, styled), *map(_of_style, styles))))


@lru_cache(maxsize=1024)
def _of_tag(tag: Tag) -> tuple[str, ...]:
    srcset = [one.split()[0] for one in tag.attributes.get("srcset", "").split(",") if one.strip()]
    return (*_of_style(tag.style), *filter(is_local, srcset))


@lru_cache(maxsize=256)
def _of_style(style: str) -> tuple[str, ...]:
    return tuple(address for url in _URL.findall(style) if is_local(address := url.strip()))
