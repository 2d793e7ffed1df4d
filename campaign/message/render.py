"""CampaignFile + Recipient → Message: the envelope, the header and the parts of one person's mail.

Everything is compiled once, and what no template changes is made once: constant header fields,
static attachments, images. What is wrong with the templates is raised together when a Renderer is
made; what shows only with a row's values, from `render`, naming the row.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import TYPE_CHECKING
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
from campaign.campaignfile.models import CampaignFile
from campaign.errors import Problem, UserError
from campaign.message import headers, mime
from campaign.message.bodies import Bodies, template_name
from campaign.message.context import Contexts, Secrets, Ways
from campaign.message.files import Attachments, Folder, read_from
from campaign.message.headers import HeaderError
from campaign.message.html import Images, local_images
from campaign.model import Envelope, Message, Recipient
from campaign.templating.compiled import Text, compile_file, compile_text
from campaign.templating.sandbox import environment

if TYPE_CHECKING:
    from campaign.message.dkim import Signer

_URL = re.compile(r"https?://[!#-;=?-\[\]^-z|~]+", re.IGNORECASE)  # no white space, quotes, <, >
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_IN_MAILTO = "@!$'*+-./=^_`{|}~"  # what an address keeps as it is in a link


class Renderer:
    """Makes the messages of one campaign for a list with these columns. May be shared by threads.

    `digest` is of what recipients see; `shown` are the columns that a template prints without
    provision for a blank cell; `warnings` are of the DKIM key. Raises UserError with every problem
    that shows before any row.
    """

    def __init__(self, campaign: CampaignFile, columns: tuple[str, ...], secrets: Secrets) -> None:
        self._campaign = campaign
        self._problems: list[Problem] = []
        self._contexts = Contexts(campaign, columns, secrets)
        self._env = environment(campaign.folder, html=False, private=campaign.private)
        self._from = self._inline("from", campaign.from_)
        self._reply_to = self._inline("reply_to", campaign.reply_to)
        self._envelope_from = self._inline("envelope_from", campaign.envelope_from)
        self._cc = [self._inline(f"cc.{n}", text) for n, text in enumerate(campaign.cc)]
        self._bcc = [self._inline(f"bcc.{n}", text) for n, text in enumerate(campaign.bcc)]
        self._subject = self._compile_subject()
        self._headers = {
            name: self._inline(f"headers.{name}", text) for name, text in campaign.headers.items()
        }
        self._list_id = self._inline("list_id", campaign.list_id)
        self._url = self._inline(
            "unsubscribe.url", campaign.unsubscribe.url if campaign.unsubscribe is not None else None
        )
        self._mailto = self._unsubscribe_address()
        attached = [
            (self._inline(f"attachments.{n}.path", one.path), self._inline(f"attachments.{n}.name", one.name))
            for n, one in enumerate(campaign.attachments)
        ]
        self._signer = self._load_signer()
        self._folder = Folder(campaign.attachments_root, campaign.private)
        domain = self._constant_domain()
        self._bodies = Bodies(campaign, self._contexts.names, Images(self._folder, domain))
        self._problems += self._bodies.problems
        self._require_secret()
        if self._problems:
            raise UserError(*dict.fromkeys(self._problems))
        self._attachments = Attachments(campaign, self._folder, attached)
        boundary = hmac.new(secrets.ledger, campaign.name.encode(), "sha256").hexdigest()[:24]
        self._skeleton = mime.Skeleton((), self._attachments.static, boundary)
        self._line = lru_cache(maxsize=64)(_line)
        self.warnings = self._signer.warnings if self._signer is not None else ()
        self.shown = self._shown()
        self.files_named_by = self._attachments.named_by
        self.digest = self._digest()

    def render(self, recipient: Recipient, *, date: datetime, test_to: str | None = None) -> Message:
        """Return the message for one row.

        `test_to` makes it a test: to that address alone, the subject marked, another Message-ID.
        Raises UserError with what is wrong, naming the row.
        """
        try:
            return self._render(recipient, date, test_to)
        except UserError as error:
            row = f"row {recipient.number}, line {recipient.line} of the list"
            raise UserError(*(replace(p, message=f"{p.message} ({row})") for p in error.problems)) from error

    def parts(self, recipient: Recipient) -> tuple[str | None, str | None]:
        """Return text and HTML of one row's message, as people read them. Raises UserError."""
        context = self._contexts.of(recipient, self._url)
        text, html, _ = self._bodies.render(context, self._subject.render(context).strip())
        return text, html

    def _render(self, recipient: Recipient, date: datetime, test_to: str | None) -> Message:
        context = self._contexts.of(recipient, self._url, test_to)
        campaign = self._campaign
        sender = self._mailbox("from", self._from, context)
        to = Mailbox(recipient.name, recipient.email) if test_to is None else Mailbox("", test_to)
        copies = self._mailboxes("cc", self._cc, context)
        blind = self._mailboxes("bcc", self._bcc, context)
        domain = domain_of(sender.address)
        message_id = f"<{self._contexts.token(recipient.key, 32)}@{domain}>"
        subject = self._subject.render(context).strip()
        text_part, html_part, images = self._bodies.render(context, subject)
        if test_to is not None:
            message_id = f"<test.{self._contexts.token(f'{recipient.key} {date.isoformat()}', 32)}@{domain}>"
            subject, copies, blind = f"[Test] {subject}", [], []
        lines = [self._field(recipient, "from", headers.mailboxes, "From", (sender,))]
        lines.append(self._field(recipient, "recipients.name", headers.mailboxes, "To", (to,)))
        if copies:
            lines.append(self._field(recipient, "cc", headers.mailboxes, "Cc", tuple(copies)))
        if campaign.reply_to is not None:
            reply_to = self._mailbox("reply_to", self._reply_to, context)
            lines.append(self._field(recipient, "reply_to", headers.mailboxes, "Reply-To", (reply_to,)))
        lines.append(self._field(recipient, "subject", headers.text, "Subject", subject))
        lines.append(headers.exact("Date", format_datetime(date)))
        lines.append(headers.exact("Message-ID", message_id))
        lines += self._list_fields(recipient, context)
        for name, text in self._headers.items():
            value = text.render(context).strip()
            if value:
                lines.append(self._field(recipient, f"headers.{name}", headers.text, name, value))
        files = self._attachments.of(context)
        chunks = self._skeleton.assemble(lines, text_part, html_part, images, files)
        if self._signer is not None:
            chunks.insert(0, self._signer.sign(chunks, int(date.timestamp())))
        addresses: dict[str, str] = {}
        for box in (to, *copies, *blind):
            addresses.setdefault(fold(box.address), box.address)
        return_path = self._return_path(sender, context)
        envelope = Envelope(
            return_path,
            tuple(addresses.values()),
            # RFC 6532 3.2: an address in a header, Reply-To's too, may be what is not ASCII.
            any(map(needs_smtputf8, (return_path, *addresses.values()))) or not b"".join(lines).isascii(),
        )
        return Message(recipient.key, recipient.number, envelope, message_id, tuple(chunks))

    def _list_fields(self, recipient: Recipient, context: Mapping[str, object]) -> Iterator[bytes]:
        unsubscribe = self._campaign.unsubscribe
        if unsubscribe is not None:
            ways = context["unsubscribe"]
            assert isinstance(ways, Ways)  # noqa: S101
            if ways.url and (_URL.fullmatch(ways.url) is None or not ways.url.isascii()):
                what = f"{ways.url[:80]!r} is no address of a page; percent-encode values with |urlencode"
                raise UserError(self._campaign.problem("unsubscribe.url", what))
            # RFC 2369 3.6 and RFC 8058 3.1: the page before the address, each in angle brackets.
            links = [f"<{ways.url}>"] if ways.url else []
            links += [f"<mailto:{self._mailto}>"] if self._mailto else []
            if not links:
                raise UserError(self._campaign.problem("unsubscribe.url", "is blank, and there is no mailto"))
            yield self._field(recipient, "unsubscribe", headers.exact, "List-Unsubscribe", ", ".join(links))
            if unsubscribe.one_click and ways.url.lower().startswith("https:"):
                yield headers.exact("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
        if self._campaign.list_id is not None:
            yield self._list_id_field(recipient, self._list_id.render(context).strip())

    def _list_id_field(self, recipient: Recipient, value: str) -> bytes:
        """RFC 2919 2: an optional phrase and the identifier in angle brackets."""
        phrase, _, identifier = value.rpartition("<")
        identifier = identifier.rstrip("> ")
        if not re.fullmatch(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+", identifier):
            raise UserError(
                self._campaign.problem("list_id", f"{value!r} has no identifier such as news.example.com")
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
        try:
            return self._line(make, name, value)
        except HeaderError as error:
            said = (
                value if isinstance(value, str) else "\n".join(f"{box.name} {box.address}" for box in value)
            )
            wrong = [
                (column, cell.strip()) for column, cell in recipient.row.items() if _CONTROL.search(cell)
            ]
            blamed = [column for column, cell in wrong if cell in said] or [column for column, _ in wrong]
            raise UserError(self._campaign.problem(path, f"{error}{read_from(blamed)}")) from None

    def _mailbox(self, path: str, text: Text, context: Mapping[str, object]) -> Mailbox:
        try:
            return parse_mailbox(text.render(context))
        except AddressError as error:
            what = f"{error}{read_from(text.columns)}"
            raise UserError(self._campaign.problem(path, what)) from None

    def _mailboxes(self, path: str, texts: list[Text], context: Mapping[str, object]) -> list[Mailbox]:
        """Blank ones are left out: not every row has an assistant to copy."""
        return [
            self._mailbox(f"{path}.{number}", text, context)
            for number, text in enumerate(texts)
            if text.render(context).strip()
        ]

    def _return_path(self, sender: Mailbox, context: Mapping[str, object]) -> str:
        if self._campaign.envelope_from is None:
            return sender.address
        text = self._envelope_from.render(context).strip()
        return "" if text == "<>" else self._mailbox("envelope_from", self._envelope_from, context).address

    def _inline(self, path: str, source: str | None) -> Text:
        if source is None:
            return Text(constant="")
        try:
            place = self._campaign.problem(path, "")
            return compile_text(source, env=self._env, place=place, names=self._contexts.names)
        except UserError as error:
            self._problems += error.problems
            return Text(constant="")

    def _compile_subject(self) -> Text:
        file = self._campaign.templates.subject
        if file is None:
            return self._inline("subject", self._campaign.subject)
        try:
            place = self._campaign.problem("templates.subject", "")
            return compile_file(
                template_name(self._campaign, file), env=self._env, place=place, names=self._contexts.names
            )
        except UserError as error:
            self._problems += error.problems
            return Text(constant="")

    def _unsubscribe_address(self) -> str:
        unsubscribe = self._campaign.unsubscribe
        try:
            return (
                quote(parse_address(unsubscribe.mailto), _IN_MAILTO)
                if unsubscribe and unsubscribe.mailto
                else ""
            )
        except AddressError as error:
            self._problems.append(self._campaign.problem("unsubscribe.mailto", str(error)))
            return ""

    def _require_secret(self) -> None:
        """Without a secret, anybody could make anybody's token."""
        unsubscribe = self._campaign.unsubscribe
        if unsubscribe is None or unsubscribe.secret is not None:
            return
        texts = [*self._texts(), *self._headers.values()]
        if any("unsubscribe.token" in source for text in texts for source in text.sources.values()):
            what = "a template shows unsubscribe.token, which needs a secret: add secret_env, secret_command"
            self._problems.append(self._campaign.problem("unsubscribe", f"{what} or secret_file"))

    def _load_signer(self) -> Signer | None:
        dkim = self._campaign.dkim
        if dkim is None:
            return None
        # Its library takes a while to load, and few campaigns need it.
        from campaign.message.dkim import load_signer

        try:
            return load_signer(dkim.domain, dkim.selector, dkim.key_file, dkim.algorithm)
        except UserError as error:
            self._problems += error.problems
            return None

    def _constant_domain(self) -> str:
        """A domain for Content-IDs; From's, where it is constant."""
        try:
            return domain_of(parse_mailbox(self._from.constant or "").address)
        except AddressError:
            return "campaign.invalid"

    def _texts(self) -> Iterator[Text]:
        yield self._subject
        yield from self._bodies.texts

    def _shown(self) -> frozenset[str]:
        return frozenset().union(*(text.shown for text in self._texts()))

    def _digest(self) -> str:
        """Of what recipients see: not of server, rate or retry."""
        campaign = self._campaign
        seen: list[object] = [campaign.from_, campaign.reply_to, campaign.cc, campaign.bcc, campaign.list_id]
        seen += [sorted(text.sources.items()) for text in self._texts()]
        seen += [sorted(campaign.vars.items()), sorted(campaign.headers.items())]
        seen += [campaign.inline_css, campaign.recipients.name]
        if campaign.unsubscribe is not None:
            seen += [campaign.unsubscribe.url, campaign.unsubscribe.mailto, campaign.unsubscribe.one_click]
        seen += [[one.path, one.name] for one in campaign.attachments]
        digest = hashlib.sha256(repr(seen).encode())
        for file in self._attachments.static:
            digest.update(file.octets)
        for path in sorted(set(local_images(self._bodies.html_sources))):
            try:
                digest.update(self._folder.read(self._folder.find(path)))
            except UserError:
                continue  # rendering tells
        return digest.hexdigest()


def _line(make: Callable[..., bytes], name: str, value: object) -> bytes:
    return make(name, value)
