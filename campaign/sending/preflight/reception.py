"""Warns, or asks, before a send if earlier mail had many complaints or dead addresses.

Gmail and Yahoo ask bulk senders to stay below 0.1 % of complaints, and block from 0.3 % on. To them, many
dead addresses mean that a list is old or was bought.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from campaign.campaignfile.models import CampaignFile
from campaign.errors import Problem, Severity
from campaign.ledger import Ledger
from campaign.ledger.returns import FEW, Shares
from campaign.wording import counted

_JUDGED_FROM = 100  # accepted rows


@dataclass(frozen=True, slots=True)
class _Bounds:
    warns: float
    asks: float


_COMPLAINED = _Bounds(warns=0.001, asks=0.003)
_BOUNCED = _Bounds(warns=0.02, asks=0.05)


@dataclass(frozen=True, slots=True)
class Reception:
    """A sentence about how a campaign was received; `asks`: sending again needs a person's agreement."""

    words: str
    asks: bool


def judged(shares: Iterable[Shares]) -> Iterator[Reception]:
    """Yield a sentence for each high share; none for campaigns with too few rows or events to judge."""
    for share in shares:
        if share.accepted < _JUDGED_FROM:
            continue
        for count, bounds, what in (
            (share.complained, _COMPLAINED, ("complained", "complained")),
            (share.bounced, _BOUNCED, ("address is dead", "addresses are dead")),
        ):
            if count >= FEW and count > bounds.warns * share.accepted:
                of = f"of {share.accepted:,} who had {share.campaign!r}"
                words = f"{of}, {counted(count, *what)} ({count / share.accepted:.1%})"
                yield Reception(f"{words}: campaign guide bounces", count > bounds.asks * share.accepted)


def warnings(campaign: CampaignFile, ledger: Ledger) -> Iterator[Problem]:
    """Yield a warning for each high share that does not need agreement yet."""
    for one in judged(ledger.returns().shares()):
        if not one.asks:
            yield campaign.problem("", one.words, Severity.WARNING)
