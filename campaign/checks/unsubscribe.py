"""Mail to many without a way to leave the list.

Gmail and Yahoo ask bulk senders for List-Unsubscribe with one click (RFC 8058) since 2024.
"""

from __future__ import annotations

from collections.abc import Iterator

from campaign.checks.checked import Checked
from campaign.errors import Problem

MANY = 100
"""Messages from which on a campaign is taken for bulk mail."""


def check(checked: Checked) -> Iterator[Problem]:
    """Yield a warning where the header or the body names no way to leave."""
    unsubscribe = checked.campaign.unsubscribe
    if unsubscribe is None:
        if checked.survey.messages >= MANY:
            yield checked.warn(
                "", "there is no `unsubscribe`: receivers ask it of mail to many; add url or mailto"
            )
        return
    if unsubscribe.url and unsubscribe.url.startswith("https://") and not unsubscribe.one_click:
        yield checked.warn("unsubscribe", "add `one_click: true` if the page takes a POST (RFC 8058)")
    if unsubscribe.url is None and checked.survey.messages >= MANY:
        yield checked.warn(
            "unsubscribe", "add `url` with `one_click: true`: Gmail and Yahoo ask it of bulk mail"
        )
