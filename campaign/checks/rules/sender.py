"""The sender's address is at a free mailbox provider, or in a domain for examples.

Most free mailbox providers tell receivers, by their DMARC policy (RFC 7489 6.3), to refuse mail from their
domain that other servers send. Even without such a policy, spam filters look for bulk mail from a free
mailbox (SpamAssassin's FREEMAIL_FROM), and you cannot sign it with DKIM.
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

# By domain, the domains of the servers that may send for it.
_GOOGLE, _YAHOO = ("gmail.com", "googlemail.com"), ("yahoo.com", "aol.com")
_MICROSOFT, _GMX = ("office365.com", "outlook.com"), ("gmx.net", "gmx.com", "gmx.de")
_MAILBOX_PROVIDERS = {
    "gmail.com": _GOOGLE, "googlemail.com": _GOOGLE, "yahoo.com": _YAHOO, "aol.com": _YAHOO,
    "outlook.com": _MICROSOFT, "hotmail.com": _MICROSOFT, "live.com": _MICROSOFT,
    "icloud.com": ("me.com",), "me.com": ("me.com",), "gmx.de": _GMX, "gmx.net": _GMX,
    "web.de": ("web.de",), "mail.ru": ("mail.ru",),
}  # fmt: skip
# RFC 2606 and RFC 6761: reserved domains.
_RESERVED = re.compile(r"(^|\.)(example\.(com|net|org)|example|test|invalid|localhost)$")


class Check(Rule):
    """Reports sender addresses at free mailbox providers and in example domains."""

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
            what = f"{domain} is a free mailbox provider, and another server sends: use a domain of your own"
            return None if f".{self._host}".endswith(f".{domain}") else self.warn("from", what)
        if _RESERVED.search(domain) and not self.checked.facts.is_loopback:
            return self.warn("from", f"{domain} is a domain for examples; write your own address")
        return None
