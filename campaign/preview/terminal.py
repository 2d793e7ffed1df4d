"""Show a message as lines for a terminal; control characters in cells have no effect on it."""

from __future__ import annotations

from collections.abc import Iterator

from campaign.preview.invitation import invitation
from campaign.preview.opened import OpenedMessage, Part
from campaign.preview.variety import Chosen
from campaign.wording import size, visible, visible_text


def lines(chosen: Chosen, opened: OpenedMessage, file: str, shows_html: str) -> Iterator[str]:
    """Yield envelope, header, text, files and sizes of a message of the list `file`.

    `shows_html` is the option or the command that shows the HTML part.
    """
    recipient, message = chosen.recipient, opened.message
    why = f" ({', '.join(chosen.why)})" if chosen.why else ""
    yield visible(f"Row {recipient.number}, line {recipient.line} of {file}{why}")
    yield ""
    yield visible(f"MAIL FROM: <{message.envelope.sender}>")
    for address in message.envelope.recipients:
        yield visible(f"RCPT TO: <{address}>")
    yield ""
    for name, value in opened.headers:
        yield visible(f"{name}: {value}")
    yield ""
    if opened.text is None:
        yield "(no text part)"
    else:
        yield visible_text(opened.text).rstrip("\n")
    yield ""
    if opened.html is not None:
        yield f"HTML:       {size(len(opened.html.encode()))}; {shows_html} shows it"
    if opened.calendar is not None:
        yield visible(f"invitation: {'; '.join(invitation(opened.calendar).lines)}")
    yield from _parts("attachment", opened.attachments)
    yield from _parts("image", opened.images)
    yield f"message:    {size(message.size)}"


def outline(opened: OpenedMessage) -> Iterator[str]:
    """Yield sender, subject, files and size of a message, for the plan."""
    yield visible(f"from:        {opened.header('From')}")
    yield visible(f"subject:     {opened.header('Subject')}")
    files = (f"{part.name} ({size(len(part.content))})" for part in opened.attachments)
    yield visible(f"attachments: {', '.join(files) or 'none'}")
    yield f"size:        {size(opened.message.size)}"


def _parts(what: str, parts: tuple[Part, ...]) -> Iterator[str]:
    for part in parts:
        yield visible(f"{what + ':':<11} {part.name} ({part.content_type}, {size(len(part.content))})")
