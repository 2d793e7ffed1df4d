"""Make the `Sender` whose domains are looked up from a campaign and its first message."""

from __future__ import annotations

import re
from email import policy
from email.headerregistry import AddressHeader
from email.parser import BytesHeaderParser
from urllib.parse import urlsplit

from campaign.campaignfile.models import CampaignFile
from campaign.checks.dns.domains import Sender
from campaign.delivery import Message
from campaign.message.dkim import load_signer

_LINK = re.compile(r"<(https?://[^>]+)>", re.IGNORECASE)


def sender_of(campaign: CampaignFile, message: Message) -> Sender:
    """Return the sender of a campaign. Raises UserError if the DKIM key cannot be read."""
    head = BytesHeaderParser(policy=policy.default).parsebytes(b"".join(message.chunks))
    from_ = head["From"]
    assert isinstance(from_, AddressHeader)  # noqa: S101  # every message that is rendered has it
    link = _LINK.search(str(head["List-Unsubscribe"] or ""))
    dkim = campaign.dkim
    return Sender(
        from_domain=from_.addresses[0].domain.lower(),
        envelope=message.envelope.sender,
        envelope_path="from" if campaign.envelope_from is None else "envelope_from",
        host=campaign.smtp.host,
        signer=load_signer(dkim.domain, dkim.selector, dkim.key_file, dkim.algorithm) if dkim else None,
        one_click=(urlsplit(link[1]).hostname or "") if link else "",
    )
