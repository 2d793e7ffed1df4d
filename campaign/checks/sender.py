"""The sender's address is one that receivers do not believe, or that nobody can answer."""

from __future__ import annotations

import re
from collections.abc import Iterator

from campaign.address import domain_of
from campaign.campaignfile.consistency import is_loopback
from campaign.checks.checked import Checked
from campaign.errors import Problem

# Their DMARC policies refuse mail in their name from other servers (RFC 7489 6.3). By domain, the
# domains of the servers that may.
_GOOGLE, _YAHOO = ("gmail.com", "googlemail.com"), ("yahoo.com", "aol.com")
_MICROSOFT, _GMX = ("office365.com", "outlook.com"), ("gmx.net", "gmx.com", "gmx.de")
_MAILBOX_PROVIDERS = {
    "gmail.com": _GOOGLE, "googlemail.com": _GOOGLE, "yahoo.com": _YAHOO, "aol.com": _YAHOO,
    "outlook.com": _MICROSOFT, "hotmail.com": _MICROSOFT, "live.com": _MICROSOFT,
    "icloud.com": ("me.com",), "me.com": ("me.com",), "gmx.de": _GMX, "gmx.net": _GMX,
    "web.de": ("web.de",), "mail.ru": ("mail.ru",),
}  # fmt: skip
# RFC 2606 and RFC 6761: nobody has these.
_RESERVED = re.compile(r"(^|\.)(example\.(com|net|org)|example|test|invalid|localhost)$")


def check(checked: Checked) -> Iterator[Problem]:
    """Yield a warning for a mailbox provider's domain at another's server, and for an example's."""
    if checked.first is None:
        return
    sender = checked.sender
    domain, host = domain_of(sender), checked.campaign.smtp.host.lower()
    servers = tuple(f".{name}" for name in _MAILBOX_PROVIDERS.get(domain, ()))
    if servers and not f".{host}".endswith(servers):
        yield checked.warn("from", f"receivers refuse mail from {domain} that another server sends (DMARC)")
    elif _RESERVED.search(domain) and not is_loopback(host):
        yield checked.warn("from", f"{domain} is a domain for examples; write your own address")
