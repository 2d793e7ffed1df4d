"""What came back of a campaign, in words: for `status` and `report`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from campaign.address import display_domain
from campaign.ledger.returns import Kind, Returns
from campaign.report.words import explain
from campaign.wording import visible

WORDS = {
    Kind.BOUNCED: "bounced for good",
    Kind.BOUNCED_FOR_NOW: "bounced for now",
    Kind.BLOCKED: "refused because of us",
    Kind.COMPLAINED: "complained",
    Kind.UNSUBSCRIBED: "unsubscribed",
}


def summed_up(counts: Mapping[Kind, int]) -> str:
    """Return `3 bounced for good, 1 complained`, "" for nothing."""
    return ", ".join(f"{counts[kind]:,} {words}" for kind, words in WORDS.items() if counts.get(kind))


def returned_lines(returns: Returns, most: int = 8) -> Iterator[str]:
    """Yield what came back of a campaign, and by which domains and codes."""
    said = summed_up(returns.counts())
    if not said:
        return
    yield f"  came back: {said}"
    for domain, kind, code, count in returns.codes(most):
        meaning = explain(code)
        shown = f" ({meaning})" if meaning else ""
        yield visible(f"    {count:,} × {display_domain(domain)}: {WORDS[kind]}, {code}{shown}")
