"""CampaignFile + Recipient → Message: envelope, header and parts of one recipient's mail.

    Recipient → Draft (where templates run) → Message: Date, Message-ID, header fields, MIME, signature

A Renderer compiles a campaign once, and makes once what all messages share: static attachments,
MIME boundaries. What is wrong with the templates is raised together when it is made; what shows only
with a row's values is raised by `render`, which names the row. Reads attachments from the campaign's
folder, and the DKIM key.
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
from campaign.message.fields import Fields, check_mailto
from campaign.message.files import Attachments, Folder
from campaign.message.kept import Kept
from campaign.message.shown import html_sources, shown_texts, sources
from campaign.message.tokens import Secrets, Tokens
from campaign.message.wanted import Looking
from campaign.model import Recipient

if TYPE_CHECKING:
    from campaign.message.dkim import Signer

Made = TypeVar("Made")


class Renderer:
    """Makes the messages of one campaign for a list with these columns. May be shared by threads.

    Its templates run in other processes, at most `jobs` of them at once. `digest` covers what recipients
    see; `columns` are those of the list that a message shows, or attaches a file by; `shown` are those
    that a template prints without provision for a blank cell, and where; `files_named_by` are, by the
    index of an attachment, the columns that its path prints; `html_sources` are what HTML is made from,
    by their paths from the campaign's folder, and `content` what messages are made from; `warnings` are
    about the DKIM key. Raises UserError with every problem that can be found without a row.
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
        drafts = _made(lambda: Drafts(content, self._tokens, jobs, looking), problems)
        _made(lambda: check_mailto(content), problems)
        self._signer = _made(lambda: _signer(campaign), problems)
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
        whole = any(text.whole_row for text in texts)
        self.columns = frozenset(columns) if whole else frozenset().union(*(text.columns for text in texts))
        self.html_sources = html_sources(drafts.bodies)
        self.digest = content_digest(
            campaign, self._shown, drafts.html_templates, self._attachments.static, folder, drafts.sheets
        )

    @property
    def sources(self) -> Mapping[str, str]:
        """Every template's source; those that stand in the campaign file by their places in it."""
        return sources((*self._shown, *self._fields.texts))

    def render(self, recipient: Recipient, *, date: datetime, test_to: str | None = None) -> Message:
        """Return the message for one row.

        `test_to` makes it a test: to that address alone, the subject marked, another Message-ID.
        Raises UserError with what is wrong, naming the row; Overrun where it takes too much.
        """
        try:
            return self._message(recipient, self._drafts.of(recipient, test_to), date, test_to)
        except UserError as error:
            raise _of_row(error, recipient) from error

    def look(
        self, recipients: Iterable[Recipient], most: int | None = None, kept: Kept | None = None
    ) -> Iterator[tuple[Recipient, Looked | UserError]]:
        """Yield what is seen of the messages of many rows, in their order, or what is wrong with each.

        The first `most` are looked at, or all if that is None; the others are measured. Drafts are `kept`
        while there is room.

        The messages are made on all jobs, and stay there; a size is without the signature's. Rows' own
        attachments are read here.
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
            yield recipient, replace(looked, size=looked.size + added)

    def signature_of(self, message: Message) -> int:
        """Return how many octets a message's signature has."""
        return len(message.chunks[0]) if self._signer is not None else 0

    def kept(self, recipient: Recipient, kept: Kept, after: int) -> Draft | None:
        """Return the draft that `look` has kept, if it was asked for after then, monotonic ns."""
        return self._drafts.kept(recipient, kept, after)

    def stream(self) -> DraftStream:
        """Return drafts for `message` that are asked for long before they are taken."""
        return self._drafts.stream()

    def message(
        self,
        recipient: Recipient,
        draft: Draft | UserError,
        date: datetime,
    ) -> Message:
        """Return the message that a draft becomes. Raises UserError with what is wrong, naming the row."""
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

        Raises UserError, naming the row.
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

        made = self._fields.addressed(recipient, draft.texts, date, identify, test_to)
        files = self._attachments.of(draft.texts, recipient.number)
        if draft.invitation is not None:
            files.append(draft.invitation)
        self._refuse_many(len(made.envelope.recipients))
        chunks = self._skeleton.assemble(
            made.lines, draft.text, draft.html, draft.images, files, draft.calendar
        )
        if self._signer is not None:
            chunks.insert(0, self._signer.sign(chunks, int(date.timestamp())))
        bounce = tokens.bounce(key) if test_to is None else ""
        return Message(recipient.key, recipient.number, made.envelope, made.message_id, tuple(chunks), bounce)

    def _refuse_many(self, addresses: int) -> None:
        """Raise UserError for a message to more addresses than the rate lets through at once."""
        most = min((window.count for window in self._campaign.windows), default=addresses)
        if addresses > most:
            path = "rate" if self._campaign.rate else "smtp.rate"
            what = f"the message goes to {addresses} addresses at once, more than the rate allows"
            raise UserError(self._campaign.problem(path, what))


def wrong_in_templates(campaign: CampaignFile, columns: tuple[str, ...], secrets: Secrets) -> list[Problem]:
    """Return what is wrong with a campaign's templates, for a list with these columns.

    Where there are none nothing is known of the list, and every name may be one of its columns.
    """
    try:
        Renderer(campaign, columns, secrets)
    except UserError as error:
        return list(error.problems)
    return []


def _made(make: Callable[[], Made], problems: list[Problem]) -> Made | None:
    """Return what `make` gives; what is wrong is added to `problems`."""
    try:
        return make()
    except UserError as error:
        problems += error.problems
        return None


def _of_row(error: UserError, recipient: Recipient) -> UserError:
    """Return the same error of the same kind, naming the row."""
    number, line = recipient.number, recipient.line
    return type(error)(*(replace(problem, row=number, row_line=line) for problem in error.problems))


def _lacks_secret(campaign: CampaignFile, drafts: Drafts) -> bool:
    """Whether an unsubscribe token is shown that anybody could compute."""
    if campaign.unsubscribe is None or campaign.unsubscribe.secret is not None:
        return False
    shown = [text for path, text in drafts.inline.items() if path == "subject" or path.startswith("headers.")]
    texts = (*shown, *drafts.bodies.values())
    return any("unsubscribe.token" in source for text in texts for source in text.sources.values())


def _signer(campaign: CampaignFile) -> Signer | None:
    """Return what signs with the campaign's DKIM key. Raises UserError."""
    dkim = campaign.dkim
    if dkim is None:
        return None
    # Its library takes a while to load, and few campaigns need it.
    from campaign.message.dkim import load_signer

    try:
        return load_signer(dkim.domain, dkim.selector, dkim.key_file, dkim.algorithm)
    except UserError as error:
        placed = (campaign.problem(one.path, one.message) if one.path else one for one in error.problems)
        raise UserError(*placed) from None
