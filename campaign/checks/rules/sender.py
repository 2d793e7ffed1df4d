"""The sender's address is a free mailbox or an example's: receivers do not believe it.

Providers of free mailboxes tell receivers to refuse mail in their name from other servers: their DMARC
policy (RFC 7489 6.3). Others have a policy that asks for nothing; mail to many from a free mailbox is
then still what spam filters look for (SpamAssassin's FREEMAIL_FROM), and no DKIM key of yours can sign it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from campaign.address import domain_of
from campaign.checks.checked import Checked
from campaign.checks.finding import Finding
from campaign.checks.mailboxes import FREE
from campaign.checks.rule import Rule
from campaign.checks.seen import Seen
from campaign.errors import Problem
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

    def __init__(self, checked: Checked, name: str) -> None:
        super().__init__(checked, name)
        self._host = checked.facts.host
        self._judged = lru_cache(maxsize=64)(self._judge)

    def see(self, recipient: Recipient, message: Seen) -> Iterator[Finding]:
        problem = self._judged(domain_of(message.sender))
        if problem is not None:
            yield self.find(problem)

    def _judge(self, domain: str) -> Problem | None:
        servers = tuple(f".{name}" for name in _MAILBOX_PROVIDERS.get(domain, ()))
        if servers:
            what = f"receivers refuse mail from {domain} that another server sends (DMARC)"
            return None if f".{self._host}".endswith(servers) else self.warn("from", what)
        if domain in FREE:
            what = f"{domain} is for free mailboxes, and another server sends: use a domain of your own"
            return None if f".{self._host}".endswith(f".{domain}") else self.warn("from", what)
        if _RESERVED.search(domain) and not self.checked.facts.is_loopback:
            return self.warn("from", f"{domain} is a domain for examples; write your own address")
        return None
