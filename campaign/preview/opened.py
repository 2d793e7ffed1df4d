"""Parse a message as a mail program does: header, text, HTML, attachments, images.

It is parsed with the standard library from the octets that would be sent, so previews show what was built.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTPUTF8

from campaign.delivery import Message
from campaign.message.encodedwords import decoded

_ADDRESSES = frozenset({"from", "sender", "reply-to", "to", "cc", "bcc"})


@dataclass(frozen=True, slots=True)
class Part:
    """An attached or embedded file, decoded; `content_id` is set if the HTML part shows it as an image."""

    name: str
    content_type: str
    content: bytes
    content_id: str = ""


@dataclass(frozen=True, slots=True)
class OpenedMessage:
    """One parsed message. `headers` are decoded, in the message's order.

    `calendar` is the part that makes it an invitation; it is an attachment too.
    """

    message: Message
    headers: tuple[tuple[str, str], ...]
    text: str | None
    html: str | None
    attachments: tuple[Part, ...]
    images: tuple[Part, ...]
    calendar: str | None = None

    def header(self, name: str) -> str:
        """Return the first field with this name, or ""."""
        return next((value for field, value in self.headers if field.lower() == name.lower()), "")


def open_message(message: Message) -> OpenedMessage:
    """Parse a rendered message."""
    parsed = message_from_bytes(message.content, _class=EmailMessage, policy=SMTPUTF8)
    text = html = calendar = None
    attachments: list[Part] = []
    images: list[Part] = []
    for part in _leaves(parsed):
        kind = part.get_content_type()
        if part.get_content_disposition() == "attachment":
            attachments.append(_part(part))
        elif part["Content-ID"]:
            images.append(_part(part))
        elif kind == "text/plain" and text is None:
            text = _lines(part)
        elif kind == "text/html" and html is None:
            html = _lines(part)
        elif kind == "text/calendar":
            calendar = _lines(part)
        else:
            attachments.append(_part(part))
    headers = tuple(
        (name, decoded(value, addresses=name.lower() in _ADDRESSES)) for name, value in parsed.raw_items()
    )
    return OpenedMessage(message, headers, text, html, tuple(attachments), tuple(images), calendar)


def _leaves(part: EmailMessage) -> Iterator[EmailMessage]:
    """Yield the parts inside multiparts; an attached message is one part."""
    if part.get_content_maintype() != "multipart":
        yield part
        return
    for inner in part.iter_parts():
        assert isinstance(inner, EmailMessage)  # noqa: S101
        yield from _leaves(inner)


def _lines(part: EmailMessage) -> str:
    return str(part.get_content()).replace("\r\n", "\n")


def _part(part: EmailMessage) -> Part:
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):
        content = b"".join(inner.as_bytes() for inner in part.iter_parts())
    identity = str(part["Content-ID"] or "").strip().strip("<>")
    return Part(part.get_filename() or "", part.get_content_type(), content, identity)
