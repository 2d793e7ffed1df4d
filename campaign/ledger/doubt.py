"""Finds the rows in doubt, and those among them that a person names or a mail server's log mentions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from campaign.address import fold
from campaign.errors import UserError
from campaign.ledger.history import CopyEntry, Entry, History
from campaign.ledger.protocols import copy_key, row_and_copy
from campaign.message.tokens import Tokens
from campaign.model import Status


def entries_in_doubt(history: History, now: int) -> list[Entry]:
    """Return the rows in doubt, and the copies in doubt that belong to other rows, each as an entry."""
    rows = list(history.entries(now, [Status.IN_DOUBT]))
    # The server gives one answer for a row and its copies: settling the row settles them too.
    keys = {entry.key for entry in rows}
    return rows + [row_of(copy) for copy in history.copies(now, [Status.IN_DOUBT]) if copy.key not in keys]


def entries_named(entries_in_doubt: Iterable[Entry], names: Iterable[str]) -> list[Entry]:
    """Return the entries in doubt that have one of these addresses or keys, each once.

    Raises UserError listing each name that no entry in doubt has.
    """
    by_key: dict[str, Entry] = {}
    by_address: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in entries_in_doubt:
        by_key[entry.key] = entry
        if entry.email:  # a forgotten person's row has no address
            by_address[fold(entry.email)].append(entry)
    chosen: dict[str, Entry] = {}
    missing = []
    for name in names:
        key = name.strip()
        found = [*by_address.get(fold(name), ()), *([by_key[key]] if key in by_key else ())]
        chosen |= {entry.key: entry for entry in found}
        if not found:
            missing.append(name)
    if missing:
        raise UserError(*(f"{name} is not in doubt; nothing was changed" for name in missing))
    return list(chosen.values())


def count_suppressed(history: History, keys: Collection[str], now: int) -> int:
    """Return how many of these keys, of rows or of copies, are suppressed now."""
    rows = (entry.key for entry in history.entries(now, [Status.SUPPRESSED]))
    copies = (row_of(copy).key for copy in history.copies(now, [Status.SUPPRESSED]))
    return len({*keys} & {*rows, *copies})


def entries_sent(rows: Iterable[Entry], mails: Mapping[str, Collection[str]], tokens: Tokens) -> list[Entry]:
    """Return the entries whose message is among `mails`: those that a mail server's log reports as sent.

    `mails` maps a Message-ID to the folded addresses that the message went to. A copy has its row's
    Message-ID, so its address must be listed too. If no intent is recorded for a row, its Message-ID is
    computed and compared without the domain, because the sender may be a template.
    """
    marks = {message_id.strip("<>").partition("@")[0] for message_id in mails}

    def is_sent(entry: Entry) -> bool:
        _, copy = row_and_copy(entry.key)
        if copy:
            return fold(copy) in mails.get(entry.message_id, ())
        return entry.message_id in mails if entry.message_id else tokens.message_mark(entry.key) in marks

    return [entry for entry in rows if is_sent(entry)]


def row_of(copy: CopyEntry) -> Entry:
    """Return a copy as an entry of its own."""
    key = copy_key(copy.key, copy.address)
    return Entry(0, key, copy.address, "", copy.status, 0, copy.reply, copy.message_id, None, None, {})
