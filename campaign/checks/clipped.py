"""Gmail shows the first 102 KB of an HTML part and hides the rest, unsubscribe link included."""

from __future__ import annotations

from collections.abc import Iterator

from campaign.checks.checked import Checked
from campaign.errors import Problem

MOST = 102_000
"""Octets of HTML; measured, as Google publishes no number."""


def check(checked: Checked) -> Iterator[Problem]:
    """Yield a warning where the first row's HTML is near that."""
    size = len((checked.html or "").encode())
    if size > MOST * 0.95:
        yield checked.warn(
            "templates", f"the HTML has {size // 1000} KB; Gmail hides what follows {MOST // 1000} KB"
        )
