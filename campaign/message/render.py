"""Renders a recipient's message from a campaign: its envelope, header fields and MIME parts.

    Recipient → Draft (in template processes) → Message: Date, Message-ID, header fields, MIME, signature

A Renderer compiles a campaign once, and prepares once what all messages share: static attachments, MIME
boundaries. Its constructor raises all problems of the templates together; `render` raises problems that
depend on a row's values, and names the row. It reads attachments from the campaign's folder, and the DKIM
key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from campaign.campaignfile.models import CampaignFile
from campaign.delivery import Message
from campaign.errors import Problem, UserError
from campaign.message import mime
from campaign.message.content import content_of
from campaign.message.digest import content_digest
from campaign.message.drafts import Draft, Drafts, DraftStream, Looked, Refused
from campaign.message.draftstore import DraftStore
from campaign.message.fields import Fields, check_mailto
from campaign.message.files import Attachments, Folder
from campaign.message.request import Looking
from campaign.message.shown import html_sources, shown_texts, sources
from campaign.message.tokens import Secrets, Tokens
from campaign.model import Recipient

if TYPE_CHECKING:
    from campaign.message.dkim import Signer

Made = TypeVar("Made")


class Renderer:
    """Renders the messages of one campaign, for a list with these columns. May be shared by threads.

    Templates run in other processes, at most `jobs` at once. Raises UserError with every problem that can
    be found without a row.

    `content`: what messages are made from. `digest` covers what recipients see. `columns`: those that a
    message uses. `shown`: columns that a template prints without handling a blank cell → where.
    `files_named_by`: index of an attachment → the columns in its path. `html_sources`: path from the
    campaign's folder → source of a template that HTML is made from. `warnings` are about the DKIM key.
    """

    def __init__(
        self,
        campaign: CampaignFile,
        columns: tuple[str, ...],
        secrets: Secrets,
        jobs: int = 1,
        looking: Looking | None = None,
    ) -> None:
        self._campaign = campaign
        self._tokens = Tokens(campaign.name, secrets)
        content = self.content = content_of(campaign, columns, mime.mark_of(self._tokens.boundary))
        problems: list[Problem] = []
        drafts = _collecting(lambda: Drafts(content, self._tokens, jobs, looking), problems)
        _collecting(lambda: check_mailto(content), problems)
        self._signer = _collecting(lambda: _signer(campaign), problems)
        if drafts is not None and _lacks_secret(campaign, drafts):
            what = "a template shows unsubscribe.token, which needs a secret: add secret_env, secret_command"
            problems.append(campaign.problem("unsubscribe", f"{what} or secret_file"))
        if drafts is None or problems:
            raise UserError(*dict.fromkeys(problems))
        self._drafts = drafts
        self._fields = Fields(content, drafts.inline, drafts.lists)
        folder = Folder(campaign.attachments_root, campaign.private)
        self._attachments = Attachments(campaign, folder, drafts.inline, drafts.lists)
        self._skeleton = mime.Skeleton(self._attachments.static, self._tokens.boundary)
        self.warnings = self._signer.warnings if self._signer is not None else ()
        self._shown = shown_texts(drafts.inline, drafts.bodies)
        self.shown = {column: place for text in self._shown for column, place in text.shown.items()}
        self.files_named_by = self._attachments.named_by
        texts = (*drafts.inline.values(), *drafts.bodies.values())
        whole_row = any(text.whole_row for text in texts)
        used = frozenset().union(*(text.columns for text in texts))
        self.columns = frozenset(columns) if whole_row else used
        self.html_sources = html_sources(drafts.bodies)
        self.digest = content_digest(
            campaign, self._shown, drafts.html_templates, self._attachments.static, folder, drafts.sheets
        )

    @property
    def sources(self) -> Mapping[str, str]:
        """Every template's source, by its file, or by its key if it is in the campaign file."""
        return sources((*self._shown, *self._fields.texts))

    def render(self, recipient: Recipient, *, date: datetime, test_to: str | None = None) -> Message:
        """Return the message for one row.

        `test_to` makes it a test: only to that address, with a marked subject and another Message-ID.
        Raises UserError with what is wrong and the row; Overrun if it exceeds a limit.
        """
        try:
            return self._message(recipient, self._drafts.of(recipient, test_to), date, test_to)
        except UserError as error:
            raise _of_row(error, recipient) from error

    def look(
        self, recipients: Iterable[Recipient], most: int | None = None, kept: DraftStore | None = None
    ) -> Iterator[tuple[Recipient, Looked | UserError]]:
        """Check the messages of many rows, in their order: yield findings, or what is wrong with a row.

        The first `most` messages are looked at (all if None); the others are only measured. Drafts are
        kept in `kept` while there is room.

        All jobs make messages, and the messages stay in those processes. A size is without the signature.
        Rows' own attachments are read here.
        """
        for recipient, looked in self._drafts.look(recipients, most, kept):
            if isinstance(looked, UserError):
                yield recipient, _of_row(looked, recipient)
                continue
            try:
                self._refuse_many(looked.addresses)
                files = self._attachments.of(looked.attached, recipient.number)
            except UserError as error:
                yield recipient, Refused(_of_row(error, recipient), looked.found)
                continue
            added = self._skeleton.added(files, mixed=self._campaign.calendar is not None)
            named = self._attachments.named(looked.attached) if files else ()
            yield recipient, replace(looked, size=looked.size + added, named=named)

    def signature_of(self, message: Message) -> int:
        """Return the size of a message's signature in octets."""
        return len(message.chunks[0]) if self._signer is not None else 0

    def kept(self, recipient: Recipient, kept: DraftStore, after: int) -> Draft | None:
        """Return the draft that `look` has kept, if it was asked for after `after`, monotonic ns."""
        return self._drafts.kept(recipient, kept, after)

    def stream(self) -> DraftStream:
        """Return a stream of drafts for `message`, which can be asked for in advance."""
        return self._drafts.stream()

    def message(
        self,
        recipient: Recipient,
        draft: Draft | UserError,
        date: datetime,
    ) -> Message:
        """Return the message of a draft. Raises UserError with what is wrong and the row."""
        try:
            if isinstance(draft, UserError):
                raise draft
            return self._message(recipient, draft, date, None)
        except UserError as error:
            raise _of_row(error, recipient) from error

    def parts(self, recipient: Recipient) -> tuple[str | None, str | None]:
        """Return the text and the HTML of one row's message, before any encoding. Raises UserError."""
        return self._drafts.parts(recipient)

    def attached(self, recipients: Iterable[Recipient]) -> Iterator[list[Path]]:
        """Yield the files that each row attaches, without those that every message has.

        Raises UserError with the row.
        """
        for recipient, draft in self._drafts.each(recipients):
            try:
                if isinstance(draft, UserError):
                    raise draft
                yield self._attachments.asked(draft.texts)
            except UserError as error:
                raise _of_row(error, recipient) from error

    def _message(
        self,
        recipient: Recipient,
        draft: Draft,
        date: datetime,
        test_to: str | None,
    ) -> Message:
        key, tokens = recipient.token_key, self._tokens

        def identify(domain: str) -> str:
            if test_to is not None:
                return tokens.test_message_id(recipient.key, date, domain)
            return tokens.message_id(key, domain)

        addressed = self._fields.addressed(recipient, draft.texts, date, identify, test_to)
        files = self._attachments.of(draft.texts, recipient.number)
        if draft.invitation is not None:
            files.append(draft.invitation)
        envelope = addressed.envelope
        self._refuse_many(len(envelope.recipients))
        chunks = self._skeleton.assemble(
            addressed.lines, draft.text, draft.html, draft.images, files, draft.calendar
        )
        if self._signer is not None:
            chunks.insert(0, self._signer.sign(chunks, int(date.timestamp())))
        bounce = tokens.bounce(key) if test_to is None else ""
        message_id = addressed.message_id
        return Message(recipient.key, recipient.number, envelope, message_id, tuple(chunks), bounce)

    def _refuse_many(self, addresses: int) -> None:
        """Raise UserError for a message to more addresses than the rate allows at once."""
        most = min((window.count for window in self._campaign.windows), default=addresses)
        if addresses > most:
            path = "rate" if self._campaign.rate else "smtp.rate"
            what = f"the message goes to {addresses} addresses at once, more than the rate allows"
            raise UserError(self._campaign.problem(path, what))


def wrong_in_templates(campaign: CampaignFile, columns: tuple[str, ...], secrets: Secrets) -> list[Problem]:
    """Return what is wrong with a campaign's templates, for a list with these columns.

    Without columns, nothing is known about the list, and every name may be a column.
    """
    try:
        Renderer(campaign, columns, secrets)
    except UserError as error:
        return list(error.problems)
    return []


def _collecting(make: Callable[[], Made], problems: list[Problem]) -> Made | None:
    """Return what `make` returns; if it raises UserError, add its problems and return None."""
    try:
        return make()
    except UserError as error:
        problems += error.problems
        return None


def _of_row(error: UserError, recipient: Recipient) -> UserError:
    """Return an error of the same class, with the row added to its problems."""
    number, line = recipient.number, recipient.line
    return type(error)(*(replace(problem, row=number, row_line=line) for problem in error.problems))


def _lacks_secret(campaign: CampaignFile, drafts: Drafts) -> bool:
    """Whether a message shows an unsubscribe token without a secret, which anybody could compute."""
    if campaign.unsubscribe is None or campaign.unsubscribe.secret is not None:
        return False
    shown = [text for path, text in drafts.inline.items() if path == "subject" or path.startswith("headers.")]
    texts = (*shown, *drafts.bodies.values())
    return any("unsubscribe.token" in source for text in texts for source in text.sources.values())


def _signer(campaign: CampaignFile) -> Signer | None:
    """Return the signer with the campaign's DKIM key, None without one. Raises UserError."""
    dkim = campaign.dkim
    if dkim is None:
        return None
    # Its library is slow to load, and few campaigns need it.
    from campaign.message.dkim import load_signer

    try:
        return load_signer(dkim.domain, dkim.selector, dkim.key_file, dkim.algorithm)
    except UserError as error:
        placed = (campaign.problem(one.path, one.message) if one.path else one for one in error.problems)
        raise UserError(*placed) from None
