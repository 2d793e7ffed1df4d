"""An unusually large share of the list is in one domain, neither a big provider's nor the sender's.

More than a quarter of at least 100 rows. One server's filter then decides about the campaign, and that
server throttles senders of so many messages. Lists that were guessed or bought often look like this.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from campaign.address import display_domain, domain_of
from campaign.checks.addresses import same_site
from campaign.checks.checked import Checked, Surveyed
from campaign.checks.finding import Finding
from campaign.checks.found import Found
from campaign.checks.mailboxes import FREE
from campaign.checks.rule import Rule
from campaign.checks.seen import Seen
from campaign.errors import Problem, Severity
from campaign.model import Recipient

SHARE = 0.25
FEWEST = 100
"""The fewest messages for which a share means something."""

_MOST_KEPT = 5000  # domains that are counted; one with a quarter of the rows is among the first 5000


class Check(Rule):
    """Reports domains that an unusually large share of the list is in."""

    def __init__(self, checked: Checked, name: str) -> None:
        super().__init__(checked, name)
        self._counts: Counter[str] = Counter()

    def read(self, recipient: Recipient) -> Iterator[Finding]:
        domain = domain_of(recipient.email)
        if domain in self._counts or len(self._counts) < _MOST_KEPT:
            self._counts[domain] += 1
        yield from ()

    def report(self, surveyed: Surveyed, found: Found) -> Iterator[Problem]:
        """Yield a note for the domain with the largest share."""
        messages, first = surveyed.survey.messages, surveyed.survey.first
        sender = domain_of(Seen(first.chunks).sender) if first is not None else ""
        for domain, count in self._counts.most_common(3) if messages >= FEWEST else ():
            if count > SHARE * messages and domain not in FREE and not same_site(domain, sender):
                share = (
                    f"{100 * count // messages} % of the messages ({count:,}) go to {display_domain(domain)}"
                )
                what = f"{share}: that may be too many at once for its server; a rate helps"
                yield self.at(Problem("", self.checked.facts.list), what, Severity.NOTE)
