"""A message's octets → what a mail program reads in them: header, text, HTML, files, images.

Parsed with the standard library, from the octets that would leave: what is shown is what was built.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTPUTF8
from email.quoprimime import header_decode

from campaign.delivery import Message

_WORD = re.compile(r"=\?utf-8\?([bq])\?([^?\s]*)\?=", re.IGNORECASE)
_RUN = re.compile(rf"(?:{_WORD.pattern})+", re.IGNORECASE)
_BETWEEN_WORDS = re.compile(r"(\?=)\s+(?==\?utf-8\?[bq]\?)", re.IGNORECASE)
_ADDRESSES = frozenset({"from", "sender", "reply-to", "to", "cc", "bcc"})
_SPECIAL = re.compile(r'[()<>\[\]:;@\\,."]')  # RFC 5322 3.2.3
_FOLD = re.compile(r"\r?\n(?=[ \t])")


@dataclass(frozen=True, slots=True)
class Part:
    """A file that travels with the message, decoded; `content_id` names an image in the HTML part."""

    name: str
    content_type: str
    content: bytes
    content_id: str = ""


@dataclass(frozen=True, slots=True)
class OpenedMessage:
    """One parsed message. `headers` are decoded, and in their order in the message."""

    message: Message
    headers: tuple[tuple[str, str], ...]
    text: str | None
    html: str | None
    attachments: tuple[Part, ...]
    images: tuple[Part, ...]

    def header(self, name: str) -> str:
        """Return the first field of this name, "" if there is none."""
        return next((value for field, value in self.headers if field.lower() == name.lower()), "")


def open_message(message: Message) -> OpenedMessage:
    """Parse a rendered message."""
    parsed = message_from_bytes(message.content, _class=EmailMessage, policy=SMTPUTF8)
    text = html = None
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
        else:
            attachments.append(_part(part))
    headers = tuple(
        (name, decoded(value, addresses=name.lower() in _ADDRESSES)) for name, value in parsed.raw_items()
    )
    return OpenedMessage(message, headers, text, html, tuple(attachments), tuple(images))


def decoded(value: str, *, addresses: bool = False) -> str:
    """Return a field's folded value as people read it (RFC 2047 6.2).

    In a field of `addresses`, a decoded name in which a comma or another special character stands is
    quoted, as it would be if it were ASCII (RFC 5322 3.2.4): without quotes it would read as two names.
    """

    def run(match: re.Match[str]) -> str:
        text = "".join(_word(*word) for word in _WORD.findall(match[0]))
        if addresses and _SPECIAL.search(text):
            return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
        return text

    octets = _FOLD.sub("", value).encode("utf-8", "surrogateescape")
    # The standard library's parser keeps the white space between the encoded words of a long name.
    return _RUN.sub(run, _BETWEEN_WORDS.sub(r"\1", octets.decode("utf-8", "replace")))


def _word(encoding: str, text: str) -> str:
    """Decode an encoded word."""
    if encoding in "bB":
        return b64decode(text).decode("utf-8", "replace")
    return header_decode(text).encode("latin-1").decode("utf-8", "replace")


def _leaves(part: EmailMessage) -> Iterator[EmailMessage]:
    """Yield the parts of multiparts; an attached message is one part."""
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
