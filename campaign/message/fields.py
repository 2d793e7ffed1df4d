"""Makes the header fields and the envelope of one message from the campaign's templates and a row.

The envelope has addresses that no field shows: bcc and the reverse-path. A value that is not allowed in its
field raises UserError, with the key of the campaign file and the columns to look at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache
from urllib.parse import quote

from campaign.address import (
    AddressError,
    Mailbox,
    domain_of,
    fold,
    needs_smtputf8,
    parse_address,
    parse_mailbox,
)
from campaign.delivery import Envelope
from campaign.errors import UserError
from campaign.message import headers
from campaign.message.content import Content
from campaign.message.files import read_from
from campaign.message.headers import HeaderError
from campaign.model import Recipient
from campaign.templating.text import Items, Text, is_constant

_URL = re.compile(r"https?://[!#-;=?-\[\]^-z|~]+", re.IGNORECASE)  # no white space, quotes, <, >
_LIST_ID = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_UNQUOTED_IN_MAILTO = "@!$'*+-./=^_`{|}~"  # characters of an address that a mailto link need not encode

Context = Mapping[str, object]
"""The texts of one draft by their places; the compiled texts look themselves up in it."""

_BLANK = Text(constant="")


Identify = Callable[[str], str]
"""Takes the sender's domain, returns a Message-ID in it."""


@dataclass(frozen=True, slots=True)
class Addressed:
    """A message's header, as `lines`, and its envelope."""

    lines: list[bytes]
    envelope: Envelope
    message_id: str


@dataclass(frozen=True, slots=True)
class Heading:
    """The values of the fields that every message has; `copies` are the addresses in Cc."""

    sender: Mailbox
    to: Mailbox
    copies: tuple[Mailbox, ...]
    subject: str
    date: datetime
    message_id: str


class Fields:
    """Makes header fields from templates, which are given by place. May be shared by threads.

    `lists` are the templates that give several addresses.
    """

    def __init__(self, content: Content, texts: Mapping[str, Text], lists: Mapping[str, Items]) -> None:
        self._content = content
        self._from = texts["from"]
        self._sender = texts.get("sender")
        self._reply_to = [(path, texts[path]) for path in content.under("reply_to")]
        self._envelope_from = texts.get("envelope_from")
        self._cc, self._bcc = (
            [(path, lists.get(path, texts[path])) for path in content.under(key)] for key in ("cc", "bcc")
        )
        self.subject = texts["subject"]
        self.own = {path.partition(".")[2]: texts[path] for path in content.under("headers")}
        self._list_id = texts.get("list_id")
        self.unsubscribe_url = texts.get("unsubscribe.url", _BLANK)
        self.unsubscribe_mailto = texts.get("unsubscribe.mailto", _BLANK)
        self._line = lru_cache(maxsize=64)(_line)

    @property
    def texts(self) -> Iterator[Text]:
        """The templates of all visible header fields."""
        alone = (self._from, self.subject, self._list_id, self.unsubscribe_url, self._sender)
        yield from (text for text in alone if text is not None)
        for _, one in (*self._reply_to, *self._cc, *self._bcc):
            yield one.text if isinstance(one, Items) else one
        yield from self.own.values()

    def addressed(
        self,
        recipient: Recipient,
        context: Context,
        date: datetime,
        identify: Identify,
        test_to: str | None = None,
    ) -> Addressed:
        """Return a row's header and envelope, or those of a test to `test_to`. Raises UserError."""
        sender = self.sender(context)
        copies, blind = self.copies(context), self.blind_copies(context)
        subject = self.subject.render(context).strip()
        to = Mailbox(recipient.name, recipient.email)
        if test_to is not None:
            to, copies, blind, subject = Mailbox("", test_to), (), (), f"[Test] {subject}"
        message_id = identify(domain_of(sender.address))
        lines = self.lines(recipient, context, Heading(sender, to, copies, subject, date, message_id))
        addresses: dict[str, str] = {}
        for box in (to, *copies, *blind):
            addresses.setdefault(fold(box.address), box.address)
        return_path = self.return_path(sender, context)
        envelope = Envelope(
            return_path,
            tuple(addresses.values()),
            # RFC 6532 3.2: an address in any header field, Reply-To included, may have UTF-8 in it.
            any(map(needs_smtputf8, (return_path, *addresses.values()))) or not b"".join(lines).isascii(),
        )
        return Addressed(lines, envelope, message_id)

    def sender(self, context: Context) -> Mailbox:
        """Return the mailbox in From. Raises UserError."""
        return self._mailbox("from", self._from, self._from.render(context))

    def copies(self, context: Context) -> tuple[Mailbox, ...]:
        """Return the mailboxes in Cc, without the blank ones. Raises UserError."""
        return self._mailboxes(self._cc, context)

    def blind_copies(self, context: Context) -> tuple[Mailbox, ...]:
        """Return the mailboxes of bcc, without the blank ones. Raises UserError."""
        return self._mailboxes(self._bcc, context)

    def return_path(self, sender: Mailbox, context: Context) -> str:
        """Return the envelope's reverse-path: `sender`'s where none is given. Raises UserError."""
        if self._envelope_from is None:
            return sender.address
        text = self._envelope_from.render(context).strip()
        # RFC 5321 4.5.5: the null reverse-path, to which no bounce is sent.
        return "" if text == "<>" else self._mailbox("envelope_from", self._envelope_from, text).address

    def lines(self, recipient: Recipient, context: Context, heading: Heading) -> list[bytes]:
        """Return all fields that stand before MIME's, each folded, with its CRLF. Raises UserError."""
        lines = [
            self._field(recipient, "from", headers.mailboxes, "From", (heading.sender,)),
            *self._sender_field(recipient, context, heading.sender),
            self._field(recipient, "recipients.name", headers.mailboxes, "To", (heading.to,)),
        ]
        if heading.copies:
            lines.append(self._field(recipient, "cc", headers.mailboxes, "Cc", heading.copies))
        if self._reply_to:
            boxes = self._answers(context)
            lines.append(self._field(recipient, "reply_to", headers.mailboxes, "Reply-To", boxes))
        lines.append(self._field(recipient, "subject", headers.text, "Subject", heading.subject))
        lines.append(_date_line(heading.date.replace(microsecond=0), heading.date.utcoffset()))
        lines.append(headers.exact("Message-ID", heading.message_id))
        lines += self._list_fields(recipient, context)
        for name, text in self.own.items():
            value = text.render(context).strip()
            if value:
                lines.append(self._field(recipient, f"headers.{name}", headers.text, name, value))
        return lines

    def _sender_field(self, recipient: Recipient, context: Context, author: Mailbox) -> Iterator[bytes]:
        if self._sender is not None:
            box = self._mailbox("sender", self._sender, self._sender.render(context))
            # RFC 5322 3.6.2: where both are the same, Sender SHOULD NOT be used.
            if fold(box.address) != fold(author.address):
                yield self._field(recipient, "sender", headers.mailboxes, "Sender", (box,))

    def _answers(self, context: Context) -> tuple[Mailbox, ...]:
        """Return the mailboxes in Reply-To, of a list those that are not blank."""
        if "reply_to" in self._content.inline:
            return tuple(self._mailbox(path, text, text.render(context)) for path, text in self._reply_to)
        return self._mailboxes(self._reply_to, context)

    def _list_fields(self, recipient: Recipient, context: Context) -> Iterator[bytes]:
        if self._content.has_unsubscribe:
            url = self.unsubscribe_url.render(context).strip()
            mailto = self.unsubscribe_mailto.render(context).strip()
            if url and (_URL.fullmatch(url) is None or not url.isascii()):
                what = f"{url[:80]!r} is not a web address; percent-encode values with |urlencode"
                raise UserError(self._content.problem("unsubscribe.url", what))
            # RFC 2369 3.6 and RFC 8058 3.1: the page before the address, each in angle brackets.
            links = [f"<{url}>"] if url else []
            links += [f"<mailto:{self._quoted(mailto)}>"] if mailto else []
            if not links:
                raise UserError(self._content.problem("unsubscribe.url", "is blank, and there is no mailto"))
            yield self._field(recipient, "unsubscribe", headers.exact, "List-Unsubscribe", ", ".join(links))
            if self._content.one_click and url.lower().startswith("https:"):
                yield headers.exact("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
        if self._list_id is not None:
            yield self._list_id_field(recipient, self._list_id.render(context).strip())

    def _quoted(self, mailto: str) -> str:
        try:
            return _in_mailto(mailto)
        except AddressError as error:
            raise UserError(self._content.problem("unsubscribe.mailto", str(error))) from None

    def _list_id_field(self, recipient: Recipient, value: str) -> bytes:
        """RFC 2919 2: an optional phrase and the identifier in angle brackets."""
        phrase, _, identifier = value.rpartition("<")
        identifier = identifier.rstrip("> ")
        if not _LIST_ID.fullmatch(identifier):
            raise UserError(
                self._content.problem("list_id", f"{value!r} has no identifier such as news.example.com")
            )
        box = (Mailbox(phrase.strip().strip('"'), identifier),)
        line = self._field(recipient, "list_id", headers.mailboxes, "List-ID", box)
        return line if phrase.strip() else f"List-ID: <{identifier}>\r\n".encode("ascii")

    def _field(
        self,
        recipient: Recipient,
        path: str,
        make: Callable[..., bytes],
        name: str,
        value: str | tuple[Mailbox, ...],
    ) -> bytes:
        """Return a field. Raises UserError that names the columns with control characters.

        If some of their cells occur in the value, only these columns are named.
        """
        try:
            return self._line(make, name, value)
        except HeaderError as error:
            content = (
                value if isinstance(value, str) else "\n".join(f"{box.name} {box.address}" for box in value)
            )
            wrong = [
                (column, cell.strip()) for column, cell in recipient.row.items() if _CONTROL.search(cell)
            ]
            blamed = [column for column, cell in wrong if cell in content] or [column for column, _ in wrong]
            problem = self._content.problem(self._written_at(path), f"{error}{read_from(blamed)}")
            same = f"{str(error).partition(': ')[0]}{read_from(blamed)}"
            raise UserError(replace(problem, same=same)) from None

    def _written_at(self, path: str) -> str:
        """Return the place of a field's template: a subject may be in a file."""
        return (
            "templates.subject" if path == "subject" and "templates.subject" in self._content.files else path
        )

    def _mailbox(self, path: str, text: Text, written: str) -> Mailbox:
        try:
            return _parsed(written)
        except AddressError as error:
            what = f"{error}{read_from(text.columns)}"
            raise UserError(self._content.problem(path, what)) from None

    def _mailboxes(self, texts: Sequence[tuple[str, Text | Items]], context: Context) -> tuple[Mailbox, ...]:
        """Return the mailboxes, without blank ones: not every row has somebody to copy."""
        boxes: list[Mailbox] = []
        for path, one in texts:
            text, values = (
                (one.text, one.of(context)) if isinstance(one, Items) else (one, [one.render(context)])
            )
            boxes += (self._mailbox(path, text, written) for written in values if written.strip())
        return tuple(boxes)


def _line(make: Callable[..., bytes], name: str, value: object) -> bytes:
    return make(name, value)


# Most messages have the same sender; their Date changes once a second.
_parsed = lru_cache(maxsize=64)(parse_mailbox)


@lru_cache(maxsize=64)
def _in_mailto(address: str) -> str:
    return quote(parse_address(address), _UNQUOTED_IN_MAILTO)


@lru_cache(maxsize=4)
def _date_line(date: datetime, offset: timedelta | None) -> bytes:
    """Return Date. `offset` is part of the cache's key: equal times may have different offsets."""
    return headers.exact("Date", format_datetime(date))


def check_mailto(content: Content) -> None:
    """Raise UserError if `unsubscribe.mailto` is the same for all rows and not an address."""
    mailto = content.inline.get("unsubscribe.mailto")
    if mailto and is_constant(mailto):
        try:
            parse_address(mailto)
        except AddressError as error:
            raise UserError(content.problem("unsubscribe.mailto", str(error))) from None
