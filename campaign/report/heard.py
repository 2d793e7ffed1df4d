"""Show the result of `campaign bounces`, in words."""

from __future__ import annotations

from collections.abc import Iterator

from campaign.feedback.reading import Account
from campaign.ledger.returns import Fate, Kind
from campaign.report.returned import WORDS, held_lines
from campaign.wording import counted, visible

_SHOWN = 20  # mails that are listed for a person


def account_lines(account: Account, file: str, held: int, *, dry: bool) -> Iterator[str]:
    """Yield the result; `file` is the campaign file, for the commands to run next.

    `held` dead addresses, including those of earlier runs, are suppressed for this campaign only.
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
    # Once addresses are held, those that bounced before are held too.
    suppressed = {address for kind, address in found if not (some_held and kind is Kind.BOUNCED)}
    if suppressed:
        were = counted(len(suppressed), "address is", "addresses are")
        yield f"{were} suppressed: campaign suppress list {file}"
    if account.too_often:
        yield f"{account.too_often:,} left out: the same was already recorded too often"
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
