"""Assembles whole messages inside the template processes, only to check them.

So every core checks what would be sent, and the parent gets a few numbers for each row instead of the
message. The message has a placeholder Message-ID, no signature, and no attachments: the parent reads the
files that a row names, and adds their sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter

from campaign.message import mime
from campaign.message.content import Content
from campaign.message.context import Row
from campaign.message.fields import Fields
from campaign.message.request import Look, Looking
from campaign.message.shown import html_sources, shown_texts, sources
from campaign.model import Recipient
from campaign.templating.processes.frames import Plain
from campaign.templating.processes.work import Made
from campaign.templating.text import Items, Text, known, plain

_MARK = "0" * 32  # as long as the real mark of a Message-ID


@dataclass(frozen=True, slots=True)
class Drafted:
    """The rendered templates of a row; parts are encoded, with their headers."""

    texts: list[str]
    lists: list[list[str]]
    text: bytes | None
    html: bytes | None
    images: list[mime.File]
    calendar: bytes | None
    invitation: mime.File | None


class Examiner:
    """Checks messages. `inline` are the templates of header fields and file names; `looking` sees each."""

    def __init__(
        self,
        content: Content,
        inline: Mapping[str, Text],
        bodies: Mapping[str, Text],
        looking: Looking | None,
    ) -> None:
        texts = {path: known(plain(text), itemgetter(path)) for path, text in inline.items()}
        lists = {place: Items(texts[place], itemgetter(place)) for place in content.listed}
        self._columns = content.columns
        self._fields = Fields(content, texts, lists)
        self._skeleton = mime.Skeleton((), mime.boundary_of(content.mark))
        self._date = datetime.now(UTC)
        self._look: Look | None = None
        if looking is not None:
            all_texts = (*shown_texts(inline, bodies), *self._fields.texts)
            self._look = looking.open(content, html_sources(bodies), sources(all_texts))

    def examine(
        self, row: Row, texts: Mapping[str, str | list[str]], drafted: Drafted, *, look: bool
    ) -> Made:
        """Return the data of `drafts.Looked` for one row; `texts` are by place. Raises UserError."""
        cells = dict(zip(self._columns, row.cells, strict=True))
        recipient = Recipient(row.number, 0, "", row.email, row.name, cells)
        addressed = self._fields.addressed(recipient, texts, self._date, lambda domain: f"<{_MARK}@{domain}>")
        files = [drafted.invitation] if drafted.invitation is not None else []
        chunks = self._skeleton.assemble(
            addressed.lines, drafted.text, drafted.html, drafted.images, files, drafted.calendar
        )
        attached: dict[str, Plain] = {}
        for place, given in texts.items():
            if place.startswith("attachments."):
                attached[place] = given if isinstance(given, str) else [*given]
        found = self._look(recipient, chunks) if look and self._look is not None else None
        envelope = addressed.envelope
        size = sum(map(len, chunks))
        return Made([size, list(envelope.recipients[1:]), envelope.smtputf8, attached, found])
