"""CampaignFile + Recipient → Message: envelope, header and parts of one recipient's mail.

A Renderer compiles a campaign once, and makes once what all messages share: static attachments,
images, MIME boundaries. What is wrong with the templates is raised together when it is made; what
shows only with a row's values is raised by `render`, which names the row. Reads templates,
attachments and images from the campaign's folder, and the DKIM key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from campaign.address import Mailbox, domain_of, fold, needs_smtputf8
from campaign.campaignfile.models import CampaignFile
from campaign.delivery import Envelope, Message
from campaign.errors import UserError
from campaign.message import mime
from campaign.message.bodies import Bodies
from campaign.message.context import Contexts
from campaign.message.digest import content_digest
from campaign.message.fields import Fields, Heading
from campaign.message.files import Attachments, Folder
from campaign.message.html import Images
from campaign.message.inline import InlineTemplates
from campaign.message.tokens import Secrets, Tokens
from campaign.model import Recipient
from campaign.templating.compiled import Text

if TYPE_CHECKING:
    from campaign.message.dkim import Signer


class Renderer:
    """Makes the messages of one campaign for a list with these columns. May be shared by threads.

    `digest` covers what recipients see; `columns` are those of the list that a message shows, or attaches
    a file by; `shown` are those that a template prints without provision for a blank cell, and where;
    `files_named_by` are, by the index of an attachment, the columns that its path prints; `warnings` are
    about the DKIM key. Raises UserError with every problem that can be found without a row.
    """

    def __init__(self, campaign: CampaignFile, columns: tuple[str, ...], secrets: Secrets) -> None:
        self._campaign = campaign
        self._tokens = Tokens(campaign.name, secrets)
        self._contexts = Contexts(campaign, columns, self._tokens)
        inline = InlineTemplates(campaign, self._contexts.names)
        self._fields = Fields(campaign, inline)
        attached = [
            (
                inline.text(f"attachments.{index}.path", one.path),
                inline.text(f"attachments.{index}.name", one.name),
            )
            for index, one in enumerate(campaign.attachments)
        ]
        problems = inline.problems
        self._signer: Signer | None = None
        try:
            self._signer = _signer(campaign)
        except UserError as error:
            problems += error.problems
        folder = Folder(campaign.attachments_root, campaign.private)
        images = Images(folder, self._fields.constant_domain or "campaign.invalid")
        self._bodies = Bodies(campaign, self._contexts.names, images)
        problems += self._bodies.problems
        if self._lacks_secret():
            what = "a template shows unsubscribe.token, which needs a secret: add secret_env, secret_command"
            problems.append(campaign.problem("unsubscribe", f"{what} or secret_file"))
        if problems:
            raise UserError(*dict.fromkeys(problems))
        self._attachments = Attachments(campaign, folder, attached)
        self._skeleton = mime.Skeleton(self._attachments.static, self._tokens.boundary)
        self.warnings = self._signer.warnings if self._signer is not None else ()
        self.shown = {column: place for text in self._texts() for column, place in text.shown.items()}
        self.files_named_by = self._attachments.named_by
        texts = [*self._texts(), *self._fields.texts, *(text for pair in attached for text in pair)]
        whole = any(text.whole_row for text in texts)
        self.columns = frozenset(columns) if whole else frozenset().union(*(text.columns for text in texts))
        self.digest = content_digest(
            campaign,
            self._texts(),
            self._bodies.html_templates,
            self._attachments.static,
            folder,
            self._bodies.sheets,
        )

    @property
    def html_sources(self) -> Mapping[str, str]:
        """The sources that HTML is made from, by their paths from the campaign's folder."""
        return self._bodies.html_sources

    @property
    def sources(self) -> Mapping[str, str]:
        """Every template's source; those that stand in the campaign file by their places in it."""
        texts = (*self._texts(), *self._fields.texts)
        return {name: source for text in texts for name, source in text.sources.items()}

    def render(self, recipient: Recipient, *, date: datetime, test_to: str | None = None) -> Message:
        """Return the message for one row.

        `test_to` makes it a test: to that address alone, the subject marked, another Message-ID.
        Raises UserError with what is wrong, naming the row.
        """
        try:
            return self._render(recipient, date, test_to)
        except UserError as error:
            number, line = recipient.number, recipient.line
            raise UserError(*(replace(p, row=number, row_line=line) for p in error.problems)) from error

    def parts(self, recipient: Recipient) -> tuple[str | None, str | None]:
        """Return the text and the HTML of one row's message, before any encoding. Raises UserError."""
        context = self._context(recipient)
        text, html, _ = self._bodies.render(context, self._fields.subject.render(context).strip())
        return text, html

    def _context(self, recipient: Recipient, test_to: str | None = None) -> dict[str, object]:
        fields = self._fields
        return self._contexts.of(recipient, fields.unsubscribe_url, fields.unsubscribe_mailto, test_to)

    def _render(self, recipient: Recipient, date: datetime, test_to: str | None) -> Message:
        fields, tokens = self._fields, self._tokens
        context = self._context(recipient, test_to)
        sender = fields.sender(context)
        copies, blind = fields.copies(context), fields.blind_copies(context)
        subject = fields.subject.render(context).strip()
        text, html, images = self._bodies.render(context, subject)
        domain = domain_of(sender.address)
        if test_to is None:
            to = Mailbox(recipient.name, recipient.email)
            message_id = tokens.message_id(recipient.token_key, domain)
        else:
            to, copies, blind, subject = Mailbox("", test_to), (), (), f"[Test] {subject}"
            message_id = tokens.test_message_id(recipient.key, date, domain)
        lines = fields.lines(recipient, context, Heading(sender, to, copies, subject, date, message_id))
        chunks = self._skeleton.assemble(
            lines, text, html, images, self._attachments.of(context, recipient.number)
        )
        if self._signer is not None:
            chunks.insert(0, self._signer.sign(chunks, int(date.timestamp())))
        addresses: dict[str, str] = {}
        for box in (to, *copies, *blind):
            addresses.setdefault(fold(box.address), box.address)
        return_path = fields.return_path(sender, context)
        envelope = Envelope(
            return_path,
            tuple(addresses.values()),
            # RFC 6532 3.2: an address in any header field, Reply-To included, may have UTF-8 in it.
            any(map(needs_smtputf8, (return_path, *addresses.values()))) or not b"".join(lines).isascii(),
        )
        bounce = tokens.bounce(recipient.token_key) if test_to is None else ""
        return Message(recipient.key, recipient.number, envelope, message_id, tuple(chunks), bounce)

    def _lacks_secret(self) -> bool:
        """Whether an unsubscribe token is shown that anybody could compute."""
        unsubscribe = self._campaign.unsubscribe
        if unsubscribe is None or unsubscribe.secret is not None:
            return False
        texts = [*self._texts(), *self._fields.own.values()]
        return any("unsubscribe.token" in source for text in texts for source in text.sources.values())

    def _texts(self) -> Iterator[Text]:
        yield self._fields.subject
        yield from self._bodies.texts


def _signer(campaign: CampaignFile) -> Signer | None:
    """Return what signs with the campaign's DKIM key. Raises UserError."""
    dkim = campaign.dkim
    if dkim is None:
        return None
    # Its library takes a while to load, and few campaigns need it.
    from campaign.message.dkim import load_signer

    return load_signer(dkim.domain, dkim.selector, dkim.key_file, dkim.algorithm)
