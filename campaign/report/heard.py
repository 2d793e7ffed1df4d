"""What a reading of bounces came to, in words."""

from __future__ import annotations

from collections.abc import Iterator

from campaign.feedback.reading import Account
from campaign.ledger.returns import Fate, Kind
from campaign.report.returned import WORDS, held_lines
from campaign.wording import counted, visible

_SHOWN = 20  # mails for a person that are named


def account_lines(account: Account, file: str, held: int, *, dry: bool) -> Iterator[str]:
    """Yield what a reading came to; `file` is the campaign's, for the commands that follow.

    `held` dead addresses are suppressed for this campaign alone, those of earlier readings too.
    """
    nothing = ": nothing was recorded, this was a dry run" if dry else ""
    yield f"{counted(account.mails, 'mail')} read{nothing}"
    for kind, words in WORDS.items():
        if addresses := account.kinds.get(kind):
            yield f"  {counted(len(addresses), 'address', 'addresses')} {words}"
    for other, count in account.others.items():
        yield f"  {count:,} {other}"
    some_held = Fate.HELD in account.fates
    found = account.fates.get(Fate.SUPPRESSED, set())
    # Once some are held, those that bounced before them are held too.
    suppressed = {address for kind, address in found if not (some_held and kind is Kind.BOUNCED)}
    if suppressed:
        were = counted(len(suppressed), "address is", "addresses are")
        yield f"{were} suppressed: campaign suppress list {file}"
    if account.too_often:
        yield f"{account.too_often:,} left out: so many of the same were recorded already"
    if some_held and held:
        yield from held_lines(held, file)
    if account.listed:
        yield "For a person; these mails were left as they are:"
        for one in account.listed[:_SHOWN]:
            said = " ".join(filter(None, (one.sender, f"{one.subject!r}" if one.subject else "")))
            yield visible(f"  {one.where}: {said}: {one.why}")
        more = len(account.listed) - _SHOWN + account.unlisted
        if more > 0:
            yield f"  and {more:,} more"
