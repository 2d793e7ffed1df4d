"""Bulk mail without a way to unsubscribe.

Gmail and Yahoo have required List-Unsubscribe with one click (RFC 8058) from bulk senders since 2024. One
click counts only under a DKIM signature over both header fields (RFC 8058 4), and the address must say who
leaves (RFC 8058 3.1): a mail program sends nothing else to it.
"""

from __future__ import annotations

from collections.abc import Iterator

from campaign.campaignfile.readers import is_template
from campaign.checks.checked import Surveyed
from campaign.checks.found import Found
from campaign.checks.rule import Rule
from campaign.errors import Problem, Severity

MANY = 100
"""From this many messages on, a campaign is treated as bulk mail."""


class Check(Rule):
    """Reports bulk mail without a header for unsubscribing."""

    def report(self, surveyed: Surveyed, found: Found) -> Iterator[Problem]:
        """Yield a warning if the header names no way to unsubscribe, or only an incomplete one."""
        unsubscribe = surveyed.campaign.unsubscribe
        if unsubscribe is None:
            if surveyed.survey.messages >= MANY:
                yield self.at(
                    surveyed.campaign.problem("", ""),
                    "there is no `unsubscribe`: receivers require it of bulk mail; add url or mailto",
                )
            return
        if unsubscribe.url and unsubscribe.url.startswith("https://") and not unsubscribe.one_click:
            yield self.at(
                surveyed.campaign.problem("unsubscribe", ""),
                "add `one_click: true` if the page accepts a POST (RFC 8058)",
            )
        if unsubscribe.one_click and unsubscribe.url and not is_template(unsubscribe.url):
            what = "is the same for everybody, so that one click does not say who leaves"
            place = surveyed.campaign.problem("unsubscribe.url", "")
            yield self.at(place, f"{what}; add {{{{ unsubscribe.token }}}}")
        if unsubscribe.one_click and surveyed.campaign.dkim is None:
            what = (
                "one click counts only under a DKIM signature over List-Unsubscribe and List-Unsubscribe-Post"
                " (RFC 8058 4), and this campaign signs nothing: let the server sign both, or add `dkim`"
            )
            place = surveyed.campaign.problem("unsubscribe.one_click", "")
            yield self.at(place, what, Severity.NOTE)
        if unsubscribe.url is None and surveyed.survey.messages >= MANY:
            yield self.at(
                surveyed.campaign.problem("unsubscribe", ""),
                "add `url` with `one_click: true`: Gmail and Yahoo require it of bulk mail",
            )
