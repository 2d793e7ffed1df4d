"""The sender's address is one that receivers do not believe, or that nobody can answer."""

from __future__ import annotations

import re
from collections.abc import Iterator

from campaign.address import domain_of
from campaign.campaignfile.consistency import is_loopback
from campaign.checks.checked import Checked
from campaign.errors import Problem

# Their DMARC policies refuse mail in their name from other servers (RFC 7489 6.3).
_MAILBOX_PROVIDERS = {
    "gmail.com": "gmail.com", "googlemail.com": "gmail.com", "yahoo.com": "yahoo.com", "aol.com": "yahoo.com",
    "outlook.com": "office365.com", "hotmail.com": "office365.com", "live.com": "office365.com",
    "icloud.com": "mail.me.com", "gmx.de": "gmx.net", "gmx.net": "gmx.net", "web.de": "web.de",
    "mail.ru": "mail.ru",
}  # fmt: skip
# RFC 2606 and RFC 6761: nobody has these.
_RESERVED = re.compile(r"(^|\.)(example\.(com|net|org)|example|test|invalid|localhost)$")


def check(checked: Checked) -> Iterator[Problem]:
    """Yield a warning for a mailbox provider's domain at another's server, and for an example's."""
    if checked.first is None:
        return
    sender = checked.sender
    domain, host = domain_of(sender), checked.campaign.smtp.host.lower()
    if domain in _MAILBOX_PROVIDERS and not host.endswith(_MAILBOX_PROVIDERS[domain]):
        yield checked.warn("from", f"receivers refuse mail from {domain} that another server sends (DMARC)")
    elif _RESERVED.search(domain) and not is_loopback(host):
        yield checked.warn("from", f"{domain} is a domain for examples; write your own address")
