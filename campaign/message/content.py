"""The part of a campaign that its messages are made from: this is what template processes get.

It contains no key and no secret, because hostile templates may run in those processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from campaign.address import domain_in
from campaign.errors import Problem, Severity

if TYPE_CHECKING:
    from campaign.campaignfile.each import Each
    from campaign.campaignfile.models import CampaignFile

UTM = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "utm_id")
"""The keys of `utm` that are parameters of links."""

BODIES = ("text", "markdown", "html", "mjml")
"""The keys of `templates` that name a body."""

_BLAMED = (
    "recipients.name", "from", "subject", "cc", "reply_to", "unsubscribe", "unsubscribe.url",
    "unsubscribe.mailto", "list_id", "templates", "dkim.domain",
)  # fmt: skip
"""Places that problems may name even if no template is there."""


@dataclass(frozen=True, slots=True)
class Content:
    """The part of a campaign file that its messages show.

    `inline` maps dotted paths to the templates in the file itself, and `files` to template files; `places`
    has the place of each. `lists` maps a template in `inline` that gives a list to the templates rendered
    for each of its items. `has_unsubscribe`: templates may use `unsubscribe`; `one_click`: its page accepts
    a POST. Links to `utm_domains` get parameters. `mark` begins a MIME delimiter. `hides_commands`: lines
    that begin with an SMTP verb are encoded.
    """

    name: str
    folder: Path
    private: tuple[Path, ...]
    attachments_root: Path
    columns: tuple[str, ...]
    vars: Mapping[str, object]
    inline: Mapping[str, str]
    lists: Mapping[str, tuple[str, ...]]
    files: Mapping[str, Path]
    places: Mapping[str, Problem]
    inline_css: bool
    utm_domains: tuple[str, ...]
    has_unsubscribe: bool
    one_click: bool
    mark: bytes
    hides_commands: bool

    def problem(
        self, path: str, message: str, severity: Severity = Severity.ERROR, rule: str = ""
    ) -> Problem:
        """Return a problem at the dotted `path` of the campaign file, one of `places`."""
        return replace(self.places[path], message=message, severity=severity, rule=rule)

    def under(self, key: str) -> list[str]:
        """Return the places of the templates at `key` or below it."""
        return [path for path in self.inline if path == key or path.startswith(f"{key}.")]

    @property
    def listed(self) -> list[str]:
        """The places of the templates that give several values, in the order of drafting."""
        return [place for each, members in self.lists.items() for place in members or (each,)]

    @property
    def single(self) -> list[str]:
        """The places of the other templates: those in `inline`, and a subject in a file."""
        members = {place for members in self.lists.values() for place in members}
        subject = ["subject"] if "templates.subject" in self.files else []
        return [path for path in (*self.inline, *subject) if path not in members | self.lists.keys()]

    def template_name(self, file: Path) -> str:
        """Return a template's path from the campaign's folder; the loader checks that it may be read."""
        return Path(os.path.relpath(file, self.folder)).as_posix()


def content_of(campaign: CampaignFile, columns: tuple[str, ...], mark: bytes) -> Content:
    """Return the content of a campaign, for a list with these columns."""
    inline = dict(_inline(campaign))
    kinds = ("subject", *BODIES)
    named = {f"templates.{kind}": getattr(campaign.templates, kind) for kind in kinds}
    named["calendar"] = campaign.calendar
    files = {path: file for path, file in named.items() if file is not None}
    return Content(
        name=campaign.name,
        folder=campaign.folder,
        private=campaign.private,
        attachments_root=campaign.attachments_root,
        columns=columns,
        vars=dict(campaign.vars),
        inline=inline,
        lists=dict(_lists(campaign)),
        files=files,
        places={path: campaign.problem(path, "") for path in (*_BLAMED, *inline, *files)},
        inline_css=campaign.inline_css,
        utm_domains=_utm_domains(campaign),
        has_unsubscribe=campaign.unsubscribe is not None,
        one_click=campaign.unsubscribe is not None and campaign.unsubscribe.one_click,
        mark=mark,
        hides_commands=campaign.smtp.window > 1,
    )


def _utm_domains(campaign: CampaignFile) -> tuple[str, ...]:
    """Return the domains whose links get parameters; by default, the sender's."""
    if campaign.utm is None:
        return ()
    return tuple(map(str.lower, campaign.utm.domains)) or (domain_in(campaign.from_),)


def _inline(campaign: CampaignFile) -> Iterator[tuple[str, str]]:
    """Yield the templates of header fields and file names, with their places in the campaign file."""
    unsubscribe = campaign.unsubscribe
    alone = {
        "from": campaign.from_,
        "sender": campaign.sender,
        "envelope_from": campaign.envelope_from,
        "subject": campaign.subject if campaign.templates.subject is None else None,
        "preheader": campaign.preheader,
        "list_id": campaign.list_id,
        "unsubscribe.url": unsubscribe.url if unsubscribe is not None else None,
        "unsubscribe.mailto": unsubscribe.mailto if unsubscribe is not None else None,
    }
    yield from ((path, source) for path, source in alone.items() if source is not None)
    if campaign.utm is not None:
        named = ((f"utm.{name}", getattr(campaign.utm, name)) for name in UTM)
        yield from ((path, source) for path, source in named if source is not None)
    yield from answers(campaign)
    for path, source in (*copies("cc", campaign.cc), *copies("bcc", campaign.bcc)):
        yield path, source if isinstance(source, str) else source.source
    yield from ((f"headers.{name}", source) for name, source in campaign.headers.items())
    for index, one in enumerate(campaign.attachments):
        yield f"attachments.{index}.path", one.path
        if one.name is not None:
            yield f"attachments.{index}.name", one.name
        if one.each is not None:
            yield f"attachments.{index}.each", one.each


def answers(campaign: CampaignFile) -> Iterator[tuple[str, str]]:
    """Yield the templates of Reply-To, with their places in the campaign file."""
    given = campaign.reply_to
    if isinstance(given, str):
        yield "reply_to", given
    elif given is not None:
        yield from ((f"reply_to.{index}", source) for index, source in enumerate(given))


def copies(key: str, given: Sequence[str | Each]) -> Iterator[tuple[str, str | Each]]:
    """Yield the entries of `cc` or `bcc`, with the places of their templates."""
    for index, source in enumerate(given):
        yield f"{key}.{index}" if isinstance(source, str) else f"{key}.{index}.each", source


def _lists(campaign: CampaignFile) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the templates that give a list, with those that are rendered for each of its items."""
    for path, source in (*copies("cc", campaign.cc), *copies("bcc", campaign.bcc)):
        if not isinstance(source, str):
            yield path, ()
    for index, one in enumerate(campaign.attachments):
        if one.each is not None:
            name = (f"attachments.{index}.name",) if one.name is not None else ()
            yield f"attachments.{index}.each", (f"attachments.{index}.path", *name)
