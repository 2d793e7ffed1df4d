"""What recipients see of a campaign → one digest, by which a later run notices changed content.

Reads the local images that HTML templates name. The server, the rate and retries are left out.
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

    `texts` are subject and bodies, `attachments` the static ones, and `html_sources` the sources
    whose images are read from `folder`, and `sheets` the texts of local style sheets.
    """
    seen: list[object] = [campaign.from_, campaign.reply_to, campaign.cc, campaign.bcc, campaign.list_id]
    seen += [sorted(text.sources.items()) for text in texts]
    seen += [sorted(campaign.vars.items()), sorted(campaign.headers.items())]
    seen += [campaign.inline_css, campaign.recipients.name]
    if campaign.unsubscribe is not None:
        seen += [campaign.unsubscribe.url, campaign.unsubscribe.mailto, campaign.unsubscribe.one_click]
    seen += [[one.path, one.name] for one in campaign.attachments]
    # Only where they are there: those who were mailed without them have had the same content.
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
