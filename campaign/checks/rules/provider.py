"""The server is a provider with a documented limit, and the campaign has no rate, or a higher one.

Gmail: 500 recipients in 24 hours, 2,000 for Workspace (support.google.com, "Gmail sending limits").
Exchange Online: 30 messages a minute and 10,000 recipients a day (learn.microsoft.com, "Exchange
Online limits"). Amazon SES has a rate and a daily quota for each account.
"""

from __future__ import annotations

from collections.abc import Iterator

from campaign.checks.checked import Surveyed
from campaign.checks.found import Found
from campaign.checks.rule import Rule
from campaign.errors import Problem
from campaign.model import SECOND, Window

_DAY, _MINUTE = 86400 * SECOND, 60 * SECOND
# Host name's end → what to write, and the windows that the provider documents.
_LIMITS = {
    "smtp.gmail.com": ("rate: 500/day (2000/day for Workspace)", (Window(2000, _DAY),)),
    "smtp-relay.gmail.com": ("rate: 10000/day", (Window(10_000, _DAY),)),
    "smtp.office365.com": ("rate: [30/minute, 10000/day]", (Window(30, _MINUTE), Window(10_000, _DAY))),
    "smtp-mail.outlook.com": ("rate: [30/minute, 300/day]", (Window(30, _MINUTE), Window(5000, _DAY))),
    "smtp.mail.yahoo.com": ("rate: 500/day", (Window(500, _DAY),)),
    "amazonaws.com": ("the rate and the daily quota of your SES account", ()),
    "mailgun.org": ("the limit of your Mailgun plan", ()),
    "sendgrid.net": ("the limit of your SendGrid plan", ()),
}


class Check(Rule):
    """Compares the campaign's rate with the documented limit of its provider."""

    def report(self, surveyed: Surveyed, found: Found) -> Iterator[Problem]:
        """Yield a warning if the documented limit is not kept."""
        host = surveyed.campaign.smtp.host.lower()
        for name, (advice, limits) in _LIMITS.items():
            if host != name and not host.endswith(f".{name}"):
                continue
            ours = surveyed.campaign.windows
            if not ours:
                yield self.at(
                    surveyed.campaign.problem("smtp.host", ""),
                    f"{host} has a sending limit, and the campaign has no rate; write {advice}",
                )
            for limit in limits:
                if ours and not any(_keeps(window, limit) for window in ours):
                    yield self.at(
                        surveyed.campaign.problem("smtp.rate", ""),
                        f"{host} allows {limit}, which this rate exceeds; write {advice}",
                    )


def _keeps(ours: Window, limit: Window) -> bool:
    """Whether `ours` can never exceed the limit, in any interval of its length."""
    return -(-limit.period // ours.period) * ours.count <= limit.count
