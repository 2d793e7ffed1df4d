"""Mail to many without a way to leave the list.

Gmail and Yahoo ask bulk senders for List-Unsubscribe with one click (RFC 8058) since 2024. One click counts
only under a DKIM signature over both header fields (RFC 8058 4).
"""

from __future__ import annotations

from collections.abc import Iterator

from campaign.checks.rule import Rule
from campaign.errors import Problem, Severity

MANY = 100
"""Messages from which on a campaign is taken for bulk mail."""


class Check(Rule):
    """See the module."""

    def report(self) -> Iterator[Problem]:
        """Yield a warning where the header or the body names no way to leave."""
        unsubscribe = self.checked.campaign.unsubscribe
        if unsubscribe is None:
            if self.checked.survey.messages >= MANY:
                yield self.warn(
                    "", "there is no `unsubscribe`: receivers ask it of mail to many; add url or mailto"
                )
            return
        if unsubscribe.url and unsubscribe.url.startswith("https://") and not unsubscribe.one_click:
            yield self.warn("unsubscribe", "add `one_click: true` if the page takes a POST (RFC 8058)")
        if unsubscribe.one_click and self.checked.campaign.dkim is None:
            what = (
                "one click counts only under a DKIM signature over List-Unsubscribe and List-Unsubscribe-Post"
                " (RFC 8058 4), and this campaign signs nothing: let the server sign both, or add `dkim`"
            )
            place = self.checked.campaign.problem("unsubscribe.one_click", "")
            yield self.at(place, what, Severity.NOTE)
        if unsubscribe.url is None and self.checked.survey.messages >= MANY:
            yield self.warn(
                "unsubscribe", "add `url` with `one_click: true`: Gmail and Yahoo ask it of bulk mail"
            )
