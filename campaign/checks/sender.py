"""The sender's address is a free mailbox or an example's: receivers do not believe it.

Providers of free mailboxes tell receivers to refuse mail in their name from other servers: their DMARC
policy (RFC 7489 6.3). Others have a policy that asks for nothing; mail to many from a free mailbox is
then still what spam filters look for (SpamAssassin's FREEMAIL_FROM), and no DKIM key of yours can sign it.
"""

from __future__ import annotations

import re

from campaign.address import domain_of
from campaign.campaignfile.consistency import is_loopback
from campaign.checks.mailboxes import FREE
from campaign.checks.rule import Rule
from campaign.checks.seen import Seen
from campaign.model import Recipient

# By domain, the domains of the servers that may.
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


class Check(Rule):
    """See the module."""

    def see(self, recipient: Recipient, message: Seen) -> None:
        domain, host = domain_of(message.sender), self.checked.campaign.smtp.host.lower()
        servers = tuple(f".{name}" for name in _MAILBOX_PROVIDERS.get(domain, ()))
        if servers:
            if not f".{host}".endswith(servers):
                what = f"receivers refuse mail from {domain} that another server sends (DMARC)"
                self.find(recipient, self.warn("from", what))
        elif domain in FREE:
            if not f".{host}".endswith(f".{domain}"):
                what = f"{domain} is for free mailboxes, and another server sends: use a domain of your own"
                self.find(recipient, self.warn("from", what))
        elif _RESERVED.search(domain) and not is_loopback(host):
            what = f"{domain} is a domain for examples; write your own address"
            self.find(recipient, self.warn("from", what))
