"""Show bounces, complaints and unsubscribes of a campaign, in words, for `status` and `report`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from campaign.address import display_domain
from campaign.ledger.returning import Returns
from campaign.ledger.returns import TOO_MANY_DEAD, Kind
from campaign.report.words import explain
from campaign.wording import counted, visible

WORDS = {
    Kind.BOUNCED: "bounced for good",
    Kind.BOUNCED_FOR_NOW: "bounced for now",
    Kind.BLOCKED: "refused because of us",
    Kind.COMPLAINED: "complained",
    Kind.UNSUBSCRIBED: "unsubscribed",
}


def summed_up(counts: Mapping[Kind, int]) -> str:
    """Return `3 bounced for good, 1 complained`, or ""."""
    return ", ".join(f"{counts[kind]:,} {words}" for kind, words in WORDS.items() if counts.get(kind))


def returned_lines(returns: Returns, file: str, most: int = 8) -> Iterator[str]:
    """Yield what came back of the campaign in `file`, by domains and codes, and what is held."""
    said = summed_up(returns.counts())
    if not said:
        return
    yield f"  came back: {said}"
    for domain, kind, code, count in returns.codes(most):
        meaning = explain(code)
        shown = f" ({meaning})" if meaning else ""
        yield visible(f"    {count:,} × {display_domain(domain)}: {WORDS[kind]}, {code}{shown}")
    held = returns.held()
    if held:
        yield from (f"  {line}" for line in held_lines(held, file))


def held_lines(count: int, file: str) -> Iterator[str]:
    """Yield that many bounces are doubtful, and what to do."""
    are = counted(count, "address that bounced for good is", "addresses that bounced for good are")
    yield (
        f"{are} suppressed for this campaign only: {TOO_MANY_DEAD:.0%} of it or more bounced, so a relay or"
        " the list may be wrong"
    )
    yield f'  to see them: campaign suppress list {file} --reason "bounced:"'
    yield f"  if they are dead: campaign suppress add ADDRESS... --campaign {file}"
    yield f'  if they are not: campaign suppress remove --reason "bounced:" --campaign {file}'
