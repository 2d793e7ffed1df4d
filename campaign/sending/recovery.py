"""Repairs a ledger from a mail server's log: settles the rows that the log says were sent.

    --from-log       for a copy, or a ledger that lost its WAL: its secret gives each row's Message-ID
    --by-address     for a ledger that was lost with its secret: matches by address, sender and time

The list is enrolled first, as by `send`: rows that the ledger has never seen may have been sent. Nothing
is sent here.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from email.utils import parseaddr

from campaign.address import fold
from campaign.campaignfile.models import CampaignFile
from campaign.feedback.maillog import Delivery
from campaign.ledger import Ledger
from campaign.ledger.doubt import entries_sent, row_of
from campaign.ledger.history import Entry
from campaign.message.tokens import Secrets, Tokens
from campaign.model import Recipient, Status
from campaign.recipients.list import Recipients
from campaign.sending.lease import leased
from campaign.sending.preflight.changes import key_of

_UNSETTLED = "a repair from a mail log was interrupted"
_EXPRESSION = re.compile(r"\{\{.*?\}\}|\{%.*?%\}")


@dataclass(frozen=True, slots=True)
class Match:
    """A row of the list, and the deliveries that may have been its message."""

    recipient: Recipient
    deliveries: tuple[Delivery, ...]


def settle_waiting(ledger: Ledger, mails: Mapping[str, Collection[str]], words: str) -> int:
    """Settle waiting rows as accepted if their message is among `mails`; return how many.

    `mails` maps each Message-ID to the addresses that it went to. Rows come first, then their copies.
    """
    # In a restored ledger a row may be refused that was tried again since.
    statuses = [Status.PENDING, Status.DEFERRED, *([Status.REFUSED] if ledger.incomplete else [])]
    tokens = Tokens(ledger.name, Secrets(ledger.secret))

    def settle(waiting: Iterable[Entry]) -> int:
        keys = [entry.key for entry in entries_sent(waiting, mails, tokens)]
        return ledger.settle_doubt(Status.ACCEPTED, keys, words, now, waiting=True) if keys else 0

    now, history = time.time_ns(), ledger.history
    rows = settle(history.entries(now, statuses))
    return rows + settle(map(row_of, history.copies(now, statuses)))


def enrol(campaign: CampaignFile, ledger: Ledger) -> None:
    """Update the ledger's rows from the list. Raises LeaseHeld, and UserError for a wrong list."""
    recipients = Recipients(campaign)
    with leased(campaign, ledger, None, lambda seconds, why: None):
        enrolment = ledger.enrolment()
        enrolment.stage(recipients.columns, iter(recipients), frozenset())
        for _ in enrolment.drop_duplicates():
            pass  # the first row with a key counts
        enrolment.recognise()
        enrolment.apply(time.time_ns())
        ledger.adopt(key_of(campaign))


def matches(campaign: CampaignFile, deliveries: Iterable[Delivery]) -> list[Match]:
    """Return the rows of the list with an address that the log has mail to, from the campaign's sender."""
    sender = _sender(campaign)
    by_address: dict[str, list[Delivery]] = {}
    for delivery in deliveries:
        if sender.fullmatch(delivery.sender):
            for address in delivery.recipients:
                by_address.setdefault(fold(address), []).append(delivery)
    seen: set[str] = set()
    found = []
    for row in Recipients(campaign):
        if isinstance(row, Recipient) and row.key not in seen and fold(row.email) in by_address:
            seen.add(row.key)
            found.append(Match(row, tuple(by_address[fold(row.email)])))
    return found


def settle_matches(campaign: CampaignFile, ledger: Ledger, found: Iterable[Match], words: str) -> int:
    """Enrol the list, and settle these rows as accepted; return how many.

    Until all are settled, nothing can be sent from this ledger.
    """
    ledger.mark_incomplete(_UNSETTLED)
    enrol(campaign, ledger)
    keys = [match.recipient.key for match in found]
    count = ledger.settle_doubt(Status.ACCEPTED, keys, words, time.time_ns(), waiting=True)
    ledger.mark_complete()
    return count


def shared(found: Iterable[Match]) -> set[str]:
    """Return the folded addresses that occur in more rows than there are messages to them in the log."""
    rows = Counter(fold(match.recipient.email) for match in found)
    had = {fold(match.recipient.email): len(match.deliveries) for match in found}
    return {address for address, count in rows.items() if count > had[address]}


def _sender(campaign: CampaignFile) -> re.Pattern[str]:
    """Return a pattern for the envelope's sender; an expression in its template matches anything."""
    text = campaign.envelope_from or parseaddr(campaign.from_)[1] or campaign.from_
    text = "" if text.strip() == "<>" else text.strip()
    plain = _EXPRESSION.split(text)
    return re.compile(".*".join(map(re.escape, plain)), re.IGNORECASE)
