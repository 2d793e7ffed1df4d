"""Computes a digest of everything that recipients see, so that a later run notices changed content.

It reads the local images that HTML templates name. The server, the rate and retries are left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from campaign.campaignfile.models import CampaignFile
from campaign.errors import UserError
from campaign.message.files import Folder
from campaign.message.html.images import local_images
from campaign.message.mime import File
from campaign.templating.text import Text


def content_digest(
    campaign: CampaignFile,
    texts: Iterable[Text],
    html_sources: Iterable[str],
    attachments: Iterable[File],
    folder: Folder,
    sheets: Iterable[str] = (),
) -> str:
    """Return a SHA-256 in hexadecimal.

    `texts` are subject and bodies, and `attachments` the static ones. Images that `html_sources` name are
    read from `folder`. `sheets` are the texts of local style sheets.
    """
    seen: list[object] = [campaign.from_, campaign.reply_to, campaign.cc, campaign.bcc, campaign.list_id]
    seen += [sorted(text.sources.items()) for text in texts]
    seen += [sorted(campaign.vars.items()), sorted(campaign.headers.items())]
    seen += [campaign.inline_css, campaign.recipients.name]
    if campaign.unsubscribe is not None:
        seen += [campaign.unsubscribe.url, campaign.unsubscribe.mailto, campaign.unsubscribe.one_click]
    seen += [[one.path, one.name] for one in campaign.attachments]
    # Only if set, so that the digest of a campaign without them is as in earlier releases.
    seen += [part for part in (campaign.preheader, campaign.utm, campaign.sender) if part is not None]
    seen += [["each", number, one.each] for number, one in enumerate(campaign.attachments) if one.each]
    digest = hashlib.sha256(repr(seen).encode())
    for file in attachments:
        digest.update(file.octets)
    for sheet in sheets:
        digest.update(sheet.encode())
    for path in sorted(set(local_images(html_sources))):
        try:
            digest.update(folder.read(folder.find(path)))
        except UserError:
            continue  # rendering reports it, with the row
    return digest.hexdigest()
