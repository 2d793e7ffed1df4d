"""Show messages as one self-contained HTML page, which never uses the network or scripts.

A message's HTML is the `srcdoc` of a sandboxed frame (`frame.py`). The frame inherits the page's
Content-Security-Policy, which allows only styles and `data:` images, unless images are to be loaded. The
switches are radio buttons and CSS.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from campaign.address import display_address
from campaign.errors import Problem
from campaign.outfile import Kind, is_page
from campaign.preview.frame import framed
from campaign.preview.inbox import InboxLine, inbox_line
from campaign.preview.invitation import invitation
from campaign.preview.opened import OpenedMessage
from campaign.preview.variety import Chosen
from campaign.wording import size, visible, visible_text

PREVIEW = Kind("a page of campaign's", is_page, private=True)
# This kind is a row's HTML as its author wrote it, so it cannot be distinguished from other pages.
WEB_PAGE = Kind("a page of campaign's", is_page, private=False)

_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{76}\n){8,}(?:[A-Za-z0-9+/]+={0,2}\n)?")
_SHOWN_LINES = 3


@dataclass(frozen=True, slots=True)
class _Shown:
    """A message in the form that the page's template needs; everything in it is text, not markup."""

    number: int
    line: int
    name: str
    address: str
    subject: str
    sender: str
    to: str
    why: tuple[str, ...]
    inbox: InboxLine
    problems: tuple[tuple[str, str], ...]
    return_path: str
    recipients: tuple[str, ...]
    headers: tuple[tuple[str, str], ...]
    text: str | None
    html: str | None
    source: str
    links: tuple[tuple[str, str], ...]
    remote: int
    files: tuple[tuple[str, str, str], ...]
    invitation: tuple[str, ...]
    size: str


@dataclass(frozen=True, slots=True)
class Previewed:
    """A row to show: why it was chosen, its message, and its findings of `check`."""

    chosen: Chosen
    opened: OpenedMessage
    problems: tuple[Problem, ...] = ()


def page(
    campaign: str, messages: Sequence[Previewed], notes: Sequence[str], *, load_images: bool = False
) -> str:
    """Return the page for messages of a campaign; `notes` say what will differ when it is sent.

    `load_images`: the page loads images from the network when it is opened.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(Path(__file__).with_name("page.html.j2").read_text(encoding="utf-8"))
    shown = [_show(one, load_images=load_images) for one in messages]
    with_html = any(one.html is not None for one in shown)
    return template.render(
        campaign=visible(campaign), messages=shown, notes=notes, with_html=with_html, load_images=load_images
    )


def _show(previewed: Previewed, *, load_images: bool) -> _Shown:
    chosen, opened = previewed.chosen, previewed.opened
    recipient, message = chosen.recipient, opened.message
    frame = framed(opened, load_images=load_images) if opened.html is not None else None
    links = frame.links if frame is not None else ()
    line = inbox_line(opened)
    return _Shown(
        recipient.number,
        recipient.line,
        visible(recipient.name),
        visible(display_address(recipient.email)),
        visible(opened.header("Subject")),
        visible(opened.header("From")),
        visible(opened.header("To")),
        tuple(map(visible, chosen.why)),
        InboxLine(visible(line.sender), visible(line.subject), visible(line.beginning)),
        tuple((problem.severity.value, visible(_with_place(problem))) for problem in previewed.problems),
        visible(message.envelope.sender),
        tuple(map(visible, message.envelope.recipients)),
        tuple((name, visible(value)) for name, value in opened.headers),
        visible_text(opened.text) if opened.text is not None else None,
        frame.document if frame is not None else None,
        source(message.content),
        tuple((visible(" ".join(text.split())), visible(address)) for text, address in links),
        frame.remote if frame is not None else 0,
        tuple(
            (visible(part.name), part.content_type, size(len(part.content)))
            for part in (*opened.attachments, *opened.images)
        ),
        tuple(map(visible, invitation(opened.calendar).lines)) if opened.calendar is not None else (),
        size(message.size),
    )


def _with_place(problem: Problem) -> str:
    """Return a problem with its place, but without its rows."""
    place = ":".join(str(part) for part in (problem.file, problem.line) if part is not None)
    message = (
        problem.message.removesuffix(f" ({problem.rows})") if problem.rows is not None else problem.message
    )
    return f"{place}: {message}" if place else message


def source(content: bytes) -> str:
    """Return a message's octets as text, with long base64 shortened."""
    text = content.decode("utf-8", "replace").replace("\r\n", "\n")

    def cut(match: re.Match[str]) -> str:
        lines = match[0].splitlines(keepends=True)
        left_out = len(lines) - _SHOWN_LINES
        return f"{''.join(lines[:_SHOWN_LINES])}[… {left_out:,} more lines of base64 …]\n"

    return visible_text(_BASE64.sub(cut, text))
