"""Gets drafts of messages from the processes in which templates run.

    drafts = Drafts(content, tokens, jobs)     raises UserError with every problem of the templates
    drafts.of(recipient)                       one, from any thread
    drafts.each(recipients)                    many, in order, on all jobs

Tokens are made here and passed as values: their secrets never enter a template process. Answers from there
are validated before use.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from operator import itemgetter

from campaign import clock
from campaign.errors import UserError
from campaign.message.content import Content
from campaign.message.drafting import Drafting
from campaign.message.draftstore import DraftStore
from campaign.message.mime import File, is_whole_lines
from campaign.message.request import KEEP, Looking, Request
from campaign.message.tokens import Tokens
from campaign.model import Recipient
from campaign.templating.processes.frames import Frame, Garbled, Plain
from campaign.templating.processes.pool import Pool
from campaign.templating.processes.succession import Succession
from campaign.templating.processes.work import Row
from campaign.templating.text import Items, known

_KEPT_IMAGES = 256


@dataclass(frozen=True, slots=True)
class Draft:
    """The rendered templates of one row.

    `texts` maps a place in the campaign file to its text, or to a list of texts; constant ones are left
    out. `text` and `html` are parts with their headers. `images` are those that the HTML shows. `calendar`
    is an invitation as a part, and `invitation` the same as a file.
    """

    texts: Mapping[str, str | list[str]]
    text: bytes | None
    html: bytes | None
    images: tuple[File, ...]
    calendar: bytes | None = None
    invitation: File | None = None


@dataclass(frozen=True, slots=True)
class Looked:
    """The findings about a row's message, which stays in the process where it was made.

    `size` is in octets, without attachments and signature; `copies` are the envelope's recipients but for
    the row's own address. `attached` maps places to the texts of attachments' paths and names; `found`:
    what `Looking` found. `named`: (number of the entry, path, name) of each file that the row names.
    """

    size: int
    copies: tuple[str, ...]
    smtputf8: bool
    attached: Mapping[str, str | list[str]]
    found: Plain
    named: Sequence[tuple[int, str, str]] = ()

    @property
    def addresses(self) -> int:
        """How many recipients the envelope has."""
        return 1 + len(self.copies)


class Refused(UserError):
    """A row with a problem that is found after its message was made, such as a missing attachment.

    `found`: what was found in the message; findings of later rows may refer to it.
    """

    def __init__(self, error: UserError, found: Plain) -> None:
        self.found = found
        super().__init__(*error.problems)


class Drafts:
    """Drafts the messages of one campaign.

    `inline` are the templates of header fields and file names, `bodies` those of the parts, and `lists`
    those that give several values, by their places. `html_templates` are the sources that HTML is rendered
    from, and `sheets` the texts of the style sheets that it names.
    """

    def __init__(
        self, content: Content, tokens: Tokens, jobs: int = 1, looking: Looking | None = None
    ) -> None:
        self._content = content
        self._tokens = tokens
        self._images: OrderedDict[str, File] = OrderedDict()
        self.pool = Pool(Drafting(content, looking), jobs)
        inline, bodies, self.html_templates, self.sheets = _known(self.pool.head)
        self.inline = {path: known(made, itemgetter(path)) for path, made in inline.items()}
        self.bodies = {kind: known(made, _elsewhere) for kind, made in bodies.items()}
        self._varying = [path for path in content.single if self.inline[path].constant is None]
        self.lists = {place: Items(self.inline[place], itemgetter(place)) for place in content.listed}

    def of(self, recipient: Recipient, test_to: str | None = None) -> Draft:
        """Return one row's draft. Raises UserError.

        In a test message to `test_to` the tokens are for that address, so that its unsubscribe link does
        not unsubscribe the recipient.
        """
        return self.draft(recipient, test_to, self.pool.ask(self.row(Request.DRAFT, recipient, test_to)))

    def each(self, recipients: Iterable[Recipient]) -> Iterator[tuple[Recipient, Draft | UserError]]:
        """Yield the drafts in the recipients' order."""
        rows = ((recipient, self.row(Request.DRAFT, recipient, None)) for recipient in recipients)
        for recipient, answer in self.pool.each(rows):
            made = answer if isinstance(answer, UserError) else self.draft(recipient, None, answer)
            yield recipient, made

    def look(
        self, recipients: Iterable[Recipient], most: int | None = None, kept: DraftStore | None = None
    ) -> Iterator[tuple[Recipient, Looked | UserError]]:
        """Check each row's message, in the recipients' order; see `Renderer.look`."""
        requests = chain(repeat(Request.LOOK, *([] if most is None else [most])), repeat(Request.MEASURE))
        asked = (
            (
                (one, keep := kept is not None and kept.has_room, clock.steady()),
                self.row(what | KEEP if keep else what, one, None),
            )
            for one, what in zip(recipients, requests, strict=False)
        )
        for (recipient, keep, since), answer in self.pool.each(asked):
            if isinstance(answer, UserError):
                yield recipient, answer
            elif kept is None or not keep:
                yield recipient, _looked(answer.head)
            else:
                seen, draft = _seen_and_drafted(answer.head)
                kept.add(self.row(Request.DRAFT, recipient, None), since, Frame(draft, answer.blobs))
                yield recipient, _looked(seen)

    def kept(self, recipient: Recipient, kept: DraftStore, after: int) -> Draft | None:
        """Return the kept draft of a row, if it was asked for after `after`, monotonic ns."""
        if not kept.has(recipient.number, after):
            return None
        frame = kept.of(self.row(Request.DRAFT, recipient, None))
        return None if frame is None else self.draft(recipient, None, frame)

    def stream(self) -> DraftStream:
        """Return a stream of drafts, which can be asked for in advance."""
        return DraftStream(self)

    def parts(self, recipient: Recipient) -> tuple[str | None, str | None]:
        """Return the text and the HTML of one row, before any encoding. Raises UserError."""
        match self.pool.ask(self.row(Request.PARTS, recipient, None)).head:
            case [str() | None as text, str() | None as html]:
                return text, html
            case _:
                raise Garbled("these are no parts")

    def row(self, request: int, recipient: Recipient, test_to: str | None) -> Row:
        """Return a row in the form for a worker; see `drafting`."""
        tokens, row = self._tokens, recipient.row
        if test_to is None:
            bounce, address = tokens.bounce(recipient.token_key), recipient.email
        else:
            bounce, address = tokens.test_bounce(test_to), test_to
        unsubscribe = tokens.unsubscribe(address) if self._content.has_unsubscribe else ""
        cells = tuple([row[column] for column in self._content.columns])
        return int(request), cells, recipient.email, recipient.name, recipient.number, bounce, unsubscribe

    def draft(self, recipient: Recipient, test_to: str | None, frame: Frame) -> Draft:
        """Return the draft in a worker's answer. Raises Garbled if it is invalid."""
        texts, lists, has_text, has_html, named, new = _head(frame.head, len(self._varying), len(self.lists))
        has_calendar = "calendar" in self._content.files
        count = has_text + has_html + 2 * has_calendar
        parts, octets = list(frame.blobs[:count]), frame.blobs[count:]
        if (
            len(parts) != count
            or count + len(new) != len(frame.blobs)
            or not all(map(is_whole_lines, frame.blobs))
        ):
            raise Garbled("these are no parts of a message")
        for content_id, part in zip(new, octets, strict=True):
            self._images[content_id] = File(part, content_id)
        images = [self._images.get(content_id) for content_id in named]
        if None in images:  # the worker sent it long ago, and it was dropped here since
            frame = self.pool.ask(self.row(Request.WITH_IMAGES, recipient, test_to))
            return self.draft(recipient, test_to, frame)
        while len(self._images) > _KEPT_IMAGES:
            self._images.popitem(last=False)
        text = parts.pop(0) if has_text else None
        html = parts.pop(0) if has_html else None
        calendar, invitation = (parts.pop(0), File(parts.pop(0))) if has_calendar else (None, None)
        shown = tuple(image for image in images if image is not None)
        given: dict[str, str | list[str]] = dict(zip(self._varying, texts, strict=True))
        given.update(zip(self.lists, lists, strict=True))
        return Draft(given, text, html, shown, calendar, invitation)


class DraftStream:
    """Drafts from one worker, in the order in which they were asked for."""

    def __init__(self, drafts: Drafts) -> None:
        self._drafts = drafts
        self._worker: Succession[Recipient] = drafts.pool.take()

    def submit(self, recipients: Iterable[Recipient]) -> None:
        """Ask for the drafts of these rows."""
        self._worker.submit((one, self._drafts.row(Request.DRAFT, one, None)) for one in recipients)

    def next(self) -> tuple[Recipient, Draft | UserError]:
        """Return the next draft and its recipient. Raises UserError if a dead worker cannot be replaced."""
        recipient, answer = self._worker.answer()
        if isinstance(answer, UserError):
            return recipient, answer
        return recipient, self._drafts.draft(recipient, None, answer)

    def close(self) -> None:
        """Give the worker back."""
        self._drafts.pool.give_back(self._worker)


def _elsewhere(context: Mapping[str, object]) -> str:
    raise Garbled("a body is rendered where templates run")


def _known(head: Plain) -> tuple[dict[str, Plain], dict[str, Plain], list[str], list[str]]:
    match head:
        case [dict() as inline, dict() as bodies, list() as html, list() as sheets]:
            return inline, bodies, [*map(str, html)], [*map(str, sheets)]
        case _:
            raise Garbled("this is not what is known of templates")


def _seen_and_drafted(head: Plain) -> tuple[Plain, Plain]:
    match head:
        case [seen, draft]:
            return seen, draft
        case _:
            raise Garbled("this is not what is seen of a message, and its draft")


def _looked(head: Plain) -> Looked:
    match head:
        case [int() as size, list() as copies, bool() as smtputf8, dict() as attached, found] if all(
            type(one) is str for one in copies
        ):
            return Looked(size, tuple(copies), smtputf8, dict(map(_attached, attached.items())), found)
        case _:
            raise Garbled("this is not what is seen of a message")


def _attached(entry: tuple[str, Plain]) -> tuple[str, str | list[str]]:
    match entry:
        case str() as place, str() as text:
            return place, text
        case str() as place, list() as texts:
            return place, [*map(str, texts)]
        case _:
            raise Garbled("this is no text of an attachment")


def _head(
    head: Plain, varying: int, listed: int
) -> tuple[list[str], list[list[str]], bool, bool, list[str], list[str]]:
    match head:
        case [
            list() as texts,
            list() as lists,
            bool() as has_text,
            bool() as has_html,
            list() as named,
            list() as new,
        ] if len(texts) == varying and len(lists) == listed and all(type(one) is list for one in lists):
            words = [*texts, *chain.from_iterable(lists), *named, *new]
            if all(type(word) is str for word in words):
                return texts, lists, has_text, has_html, named, new
    raise Garbled("this is no draft")
