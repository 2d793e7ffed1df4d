"""What a reading of bounces came to, in words."""

from __future__ import annotations

from collections.abc import Iterator

from campaign.feedback.reading import Account
from campaign.ledger.returns import Fate
from campaign.report.returned import WORDS, held_lines
from campaign.wording import counted, visible

_SHOWN = 20  # mails for a person that are named


def account_lines(account: Account, file: str, *, dry: bool) -> Iterator[str]:
    """Yield what a reading came to; `file` is the campaign's, for the commands that follow."""
    nothing = ": nothing was recorded, this was a dry run" if dry else ""
    yield f"{counted(account.mails, 'mail')} read{nothing}"
    for kind, words in WORDS.items():
        if account.kinds[kind]:
            yield f"  {account.kinds[kind]:,} {words}"
    for other, count in account.others.items():
        yield f"  {count:,} {other}"
    if account.fates[Fate.SUPPRESSED]:
        were = counted(account.fates[Fate.SUPPRESSED], "address is", "addresses are")
        yield f"{were} suppressed: campaign suppress list {file}"
    if account.fates[Fate.TOO_OFTEN]:
        yield f"{account.fates[Fate.TOO_OFTEN]:,} left out: so many of the same were recorded already"
    if account.fates[Fate.HELD]:
        yield from held_lines(account.fates[Fate.HELD], file)
    if account.listed:
        yield "For a person; these mails were left as they are:"
        for one in account.listed[:_SHOWN]:
            said = " ".join(filter(None, (one.sender, f"{one.subject!r}" if one.subject else "")))
            yield visible(f"  {one.where}: {said}: {one.why}")
        more = len(account.listed) - _SHOWN + account.unlisted
        if more > 0:
            yield f"  and {more:,} more"
