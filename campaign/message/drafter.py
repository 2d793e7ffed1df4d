"""Content + row → draft: every text that a template gives, made where templates run.

A draft has the texts of header fields, attachments' paths and names, and the bodies, encoded. It has no
Date, no Message-ID and no signature: `render` adds those.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence

from campaign.address import AddressError, domain_of, parse_mailbox
from campaign.errors import UserError
from campaign.message import mime
from campaign.message.bodies import Bodies, Extras
from campaign.message.calendar import CALENDAR, CalendarTemplate
from campaign.message.content import UTM, Content
from campaign.message.context import Contexts, Row
from campaign.message.drafting import Wanted
from campaign.message.files import Folder
from campaign.message.html.images import Images
from campaign.message.inline import InlineTemplates
from campaign.model import ITEM
from campaign.templating.processes import work
from campaign.templating.processes.frames import Plain
from campaign.templating.processes.work import Made
from campaign.templating.text import Text, plain

_KNOWN_IMAGES = 64
_NO_EXTRAS = Extras()


class Drafter:
    """The compiled templates of a campaign. Raises UserError with every problem of theirs."""

    def __init__(self, content: Content) -> None:
        self._mark = content.mark
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
        own = [inline.texts[path] for path in content.single]
        self._varying = [text for text in own if text.constant is None]
        self._lists = [
            (inline.lists[each], [inline.texts[place] for place in members])
            for each, members in content.lists.items()
        ]
        self._url = self._inline.get("unsubscribe.url", Text(constant=""))
        self._mailto = self._inline.get("unsubscribe.mailto", Text(constant=""))
        self._preheader = self._inline.get("preheader", Text(constant=""))
        self._utm = {name: self._inline[f"utm.{name}"] for name in UTM if f"utm.{name}" in self._inline}
        self._adds = bool(self._utm) or "preheader" in self._inline
        self._known: OrderedDict[str, None] = OrderedDict()  # images that the parent has

    def known(self) -> Made:
        """Return what is known of the templates.

        Those of header fields and file names, those of bodies, what HTML is rendered from, and the style
        sheets that it names.
        """
        inline: Plain = {path: plain(text) for path, text in self._inline.items()}
        invitation = {} if self._calendar.text is None else {CALENDAR: self._calendar.text}
        bodies: Plain = {kind: plain(text) for kind, text in {**self._bodies.texts, **invitation}.items()}
        return Made([inline, bodies, [*self._bodies.html_templates], [*self._bodies.sheets]])

    def make(self, row: work.Row) -> Made:
        """Draft one row. Raises UserError."""
        wanted, *given = row
        context = self._contexts.of(Row(*given), self._url, self._mailto)  # type: ignore[arg-type]
        subject = self._inline["subject"].render(context).strip()
        extras = self._extras(context)
        if wanted == Wanted.PARTS:
            text, html, _ = self._bodies.render(context, subject, extras)
            return Made([text, html])
        texts: list[Plain] = [text.render(context) for text in self._varying]
        lists: list[Plain] = [*self._listed(context)]
        text, html, images = self._bodies.render(context, subject, extras)
        parts = [mime.text_part("plain", text, self._mark)] if text is not None else []
        if html is not None:
            parts.append(mime.text_part("html", html, self._mark))
        calendar = self._calendar.render(context)
        if calendar is not None:
            parts.append(mime.calendar_part(calendar.method, calendar.text, self._mark))
            parts.append(mime.invitation(calendar.text.encode()).octets)
        if wanted == Wanted.WITH_IMAGES:
            self._known.clear()
        news = self._unknown(images)
        named: list[Plain] = [image.content_id for image in images]
        new: list[Plain] = [image.content_id for image in news]
        return Made(
            [texts, lists, text is not None, html is not None, named, new],
            [*parts, *(i.octets for i in news)],
        )

    def _listed(self, context: Mapping[str, object]) -> Iterator[list[Plain]]:
        """Yield what a row has several of, in the order of `Content.listed`."""
        for items, members in self._lists:
            found = items.of(context)
            if not members:
                yield [*found]
            for text in members:
                yield [text.render({**context, ITEM: item}) for item in found]

    def _extras(self, context: Mapping[str, object]) -> Extras:
        """Return what is put into a row's page."""
        if not self._adds:
            return _NO_EXTRAS
        utm = {f"utm_{name}": text.render(context).strip() for name, text in self._utm.items()}
        return Extras(self._preheader.render(context), utm, self._url.render(context).strip())

    def _unknown(self, images: Sequence[mime.File]) -> list[mime.File]:
        """Return the images that the parent has not been given, or may have forgotten."""
        news = [image for image in images if image.content_id not in self._known]
        self._known.update((image.content_id, None) for image in images)
        while len(self._known) > _KNOWN_IMAGES:
            self._known.popitem(last=False)
        return news


def _domain(text: Text | None) -> str:
    """Return the domain in From, "" where a template decides it."""
    try:
        return domain_of(parse_mailbox((text and text.constant) or "").address)
    except AddressError:
        return ""
