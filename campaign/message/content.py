"""What a campaign's messages are made from, and nothing else of it: what goes to where templates run.

It holds no server, no key and no secret: hostile templates run beside it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from campaign.errors import Problem

if TYPE_CHECKING:
    from campaign.campaignfile.models import CampaignFile

UTM = ("source", "medium", "campaign", "term", "content", "id")
"""The keys of `utm` that are parameters of links, without their `utm_`."""

BODIES = ("text", "markdown", "html", "mjml")
"""The keys of `templates` that name a body."""


@dataclass(frozen=True, slots=True)
class Content:
    """The part of a campaign file that its messages show.

    `inline` are the templates that stand in the file itself, by their dotted paths, and `files` those
    that it names; `places` is where each of them stands. `has_unsubscribe`: templates may name
    `unsubscribe`. `utm_domains` are those whose links get parameters. `mark` begins a MIME boundary.
    """

    name: str
    folder: Path
    private: tuple[Path, ...]
    attachments_root: Path
    columns: tuple[str, ...]
    vars: Mapping[str, object]
    inline: Mapping[str, str]
    files: Mapping[str, Path]
    places: Mapping[str, Problem]
    inline_css: bool
    utm_domains: tuple[str, ...]
    has_unsubscribe: bool
    mark: bytes

    def problem(self, path: str, message: str) -> Problem:
        """Return a problem at the dotted `path` of the campaign file."""
        return replace(self.places[path], message=message)

    def template_name(self, file: Path) -> str:
        """Return a template's path from the campaign's folder; the loader decides whether to read it."""
        return Path(os.path.relpath(file, self.folder)).as_posix()


def content_of(campaign: CampaignFile, columns: tuple[str, ...], mark: bytes) -> Content:
    """Return what the messages of a campaign are made from, for a list with these columns."""
    inline = dict(_inline(campaign))
    kinds = ("subject", *BODIES)
    named = {f"templates.{kind}": getattr(campaign.templates, kind) for kind in kinds}
    files = {path: file for path, file in named.items() if file is not None}
    return Content(
        name=campaign.name,
        folder=campaign.folder,
        private=campaign.private,
        attachments_root=campaign.attachments_root,
        columns=columns,
        vars=dict(campaign.vars),
        inline=inline,
        files=files,
        places={path: campaign.problem(path, "") for path in (*inline, *files)},
        inline_css=campaign.inline_css,
        utm_domains=tuple(map(str.lower, campaign.utm.domains)) if campaign.utm is not None else (),
        has_unsubscribe=campaign.unsubscribe is not None,
        mark=mark,
    )


def _inline(campaign: CampaignFile) -> Iterator[tuple[str, str]]:
    """Yield the templates of header fields and file names, with their places in the campaign file."""
    unsubscribe = campaign.unsubscribe
    alone = {
        "from": campaign.from_,
        "reply_to": campaign.reply_to,
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
    yield from ((f"cc.{index}", source) for index, source in enumerate(campaign.cc))
    yield from ((f"bcc.{index}", source) for index, source in enumerate(campaign.bcc))
    yield from ((f"headers.{name}", source) for name, source in campaign.headers.items())
    for index, one in enumerate(campaign.attachments):
        yield f"attachments.{index}.path", one.path
        if one.name is not None:
            yield f"attachments.{index}.name", one.name
