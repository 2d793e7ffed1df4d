"""Drafts messages inside the template processes: renders every template for one row.

A draft has the texts of header fields, attachments' paths and names, and the encoded bodies. It has no
Date, no Message-ID and no signature: `render` adds them in the main process. A message that is only checked
gets placeholders for them, and never leaves the process.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from campaign.address import AddressError, domain_of, parse_mailbox
from campaign.errors import UserError
from campaign.message import mime
from campaign.message.bodies import Bodies, Extras
from campaign.message.calendar import CALENDAR, CalendarTemplate
from campaign.message.content import UTM, Content
from campaign.message.context import Contexts, Row
from campaign.message.examiner import Drafted, Examiner
from campaign.message.files import Folder
from campaign.message.html.images import Images
from campaign.message.inline import InlineTemplates
from campaign.message.request import KEEP, Looking, Request
from campaign.model import ITEM
from campaign.templating.processes import work
from campaign.templating.processes.frames import Plain
from campaign.templating.processes.work import Made
from campaign.templating.text import Text, plain

_MOST_SENT_IMAGES = 64
_NO_EXTRAS = Extras()


class Drafter:
    """The compiled templates of a campaign. Raises UserError with all their problems."""

    def __init__(self, content: Content, looking: Looking | None = None) -> None:
        self._content = content
        self._looking = looking
        self._contexts = Contexts(content)
        inline = InlineTemplates(content, self._contexts.names)
        folder = Folder(content.attachments_root, content.private)
        images = Images(folder, _domain(inline.texts.get("from")) or "campaign.invalid")
        self._bodies = Bodies(content, self._contexts.names, images)
        self._calendar = CalendarTemplate(content, self._contexts.names)
        problems = [*inline.problems, *self._bodies.problems, *self._calendar.problems]
        if problems:
            raise UserError(*dict.fromkeys(problems))
        self._inline = inline.texts
        invitation = {} if self._calendar.text is None else {CALENDAR: self._calendar.text}
        self._body_texts = {**self._bodies.texts, **invitation}
        own = {path: inline.texts[path] for path in content.single}
        self._varying = {path: text for path, text in own.items() if text.constant is None}
        self._lists = [
            (inline.lists[each], [inline.texts[place] for place in members])
            for each, members in content.lists.items()
        ]
        self._url = self._inline.get("unsubscribe.url", Text(constant=""))
        self._mailto = self._inline.get("unsubscribe.mailto", Text(constant=""))
        self._preheader = self._inline.get("preheader", Text(constant=""))
        self._utm = {name: self._inline[f"utm.{name}"] for name in UTM if f"utm.{name}" in self._inline}
        self._adds = bool(self._utm) or "preheader" in self._inline
        self._sent_images: OrderedDict[str, None] = OrderedDict()  # those that the parent has

    def known(self) -> Made:
        """Return descriptions of the compiled templates, as plain data for the parent.

        They are: the templates of header fields and file names, those of bodies, the sources that HTML is
        rendered from, and the style sheets that it names.
        """
        inline: Plain = {path: plain(text) for path, text in self._inline.items()}
        bodies: Plain = {kind: plain(text) for kind, text in self._body_texts.items()}
        return Made([inline, bodies, [*self._bodies.html_templates], [*self._bodies.sheets]])

    def make(self, work_row: work.Row) -> Made:
        """Draft one row. Raises UserError."""
        request: int
        request, *given = work_row  # type: ignore[assignment]
        row = Row(*given)  # type: ignore[arg-type]
        context = self._contexts.of(row, self._url, self._mailto)
        subject = self._inline["subject"].render(context).strip()
        extras = self._extras(context)
        if request == Request.PARTS:
            text, html, _ = self._bodies.render(context, subject, extras)
            return Made([text, html])
        drafted = self._draft(context, subject, extras)
        if request & ~KEEP in (Request.LOOK, Request.MEASURE):
            seen = self._examined(row, drafted, look=request & ~KEEP == Request.LOOK)
            if not request & KEEP:
                return seen
            packed = self._packed(drafted)
            return Made([seen.head, packed.head], packed.blobs)
        if request == Request.WITH_IMAGES:
            self._sent_images.clear()
        return self._packed(drafted)

    def _packed(self, drafted: Drafted) -> Made:
        new_images = self._new_images(drafted.images)
        named: list[Plain] = [image.content_id for image in drafted.images]
        new: list[Plain] = [image.content_id for image in new_images]
        invitation = drafted.invitation.octets if drafted.invitation is not None else None
        parts = (drafted.text, drafted.html, drafted.calendar, invitation)
        return Made(
            [[*drafted.texts], [[*one] for one in drafted.lists], drafted.text is not None,
             drafted.html is not None, named, new],
            [*(part for part in parts if part is not None), *(i.octets for i in new_images)],
        )  # fmt: skip

    def _examined(self, row: Row, drafted: Drafted, *, look: bool) -> Made:
        """Check the message of a draft; return what `Looked` holds. Raises UserError."""
        texts: dict[str, str | list[str]] = dict(zip(self._varying, drafted.texts, strict=True))
        texts.update(zip(self._content.listed, drafted.lists, strict=True))
        return self._examiner.examine(row, texts, drafted, look=look)

    @cached_property
    def _examiner(self) -> Examiner:
        return Examiner(self._content, self._inline, self._body_texts, self._looking)

    def _draft(self, context: Mapping[str, object], subject: str, extras: Extras) -> Drafted:
        texts = [text.render(context) for text in self._varying.values()]
        lists = [*self._listed(context)]
        text, html, images = self._bodies.render(context, subject, extras)
        calendar = self._calendar.render(context)
        mark, hide = self._content.mark, self._content.hides_commands
        return Drafted(
            texts,
            lists,
            mime.text_part("plain", text, mark, hide) if text is not None else None,
            mime.text_part("html", html, mark, hide) if html is not None else None,
            images,
            mime.calendar_part(calendar.method, calendar.text, mark, hide) if calendar is not None else None,
            mime.invitation(calendar.text.encode()) if calendar is not None else None,
        )

    def _listed(self, context: Mapping[str, object]) -> Iterator[list[str]]:
        """Yield a row's lists, in the order of `Content.listed`."""
        for template, members in self._lists:
            items = template.of(context)
            if not members:
                yield [*items]
            for text in members:
                yield [text.render({**context, ITEM: item}) for item in items]

    def _extras(self, context: Mapping[str, object]) -> Extras:
        """Return what is added to a row's HTML."""
        if not self._adds:
            return _NO_EXTRAS
        utm = {name: text.render(context).strip() for name, text in self._utm.items()}
        return Extras(self._preheader.render(context), utm, self._url.render(context).strip())

    def _new_images(self, images: Sequence[mime.File]) -> list[mime.File]:
        """Return the images that the parent was not given yet, or may have dropped."""
        new = [image for image in images if image.content_id not in self._sent_images]
        self._sent_images.update((image.content_id, None) for image in images)
        while len(self._sent_images) > _MOST_SENT_IMAGES:
            self._sent_images.popitem(last=False)
        return new


def _domain(text: Text | None) -> str:
    """Return the domain in From, "" if it depends on the row."""
    try:
        return domain_of(parse_mailbox((text and text.constant) or "").address)
    except AddressError:
        return ""
