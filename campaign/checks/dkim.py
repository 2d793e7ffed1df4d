"""The DKIM key is weak, or signs for another domain than the sender's.

Receivers want the signature's domain to be the one in From, or above or below it (RFC 7489 3.1.1).
"""

from __future__ import annotations

from collections.abc import Iterator

from campaign.address import domain_of
from campaign.checks.checked import Checked
from campaign.errors import Problem


def check(checked: Checked) -> Iterator[Problem]:
    """Yield what the key's reading warned of, and a warning for a domain that does not align."""
    dkim = checked.campaign.dkim
    if dkim is None:
        return
    yield from checked.preparation.renderer.warnings
    ours, theirs = dkim.domain.lower(), domain_of(checked.sender).lower()
    if theirs and not (ours == theirs or ours.endswith(f".{theirs}") or theirs.endswith(f".{ours}")):
        yield checked.warn(
            "dkim.domain", f"{ours} is not the sender's domain, {theirs}: DMARC asks that they align"
        )
