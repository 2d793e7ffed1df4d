"""What a mail server's log says was sent → the ledger, where that does not know it.

    --from-log       a copy, or a ledger that lost its WAL: its secret tells each row's Message-ID
    --by-address     a ledger that is lost with its secret: address, sender and time must do

The list is enrolled first, as a send would do it: rows that the ledger has never seen may have been sent.
Nothing is sent here.
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
from campaign.ledger.doubt import row_of, sent
from campaign.ledger.history import Entry
from campaign.message.tokens import Secrets, Tokens
from campaign.model import Recipient, Status
from campaign.recipients.list import Recipients
from campaign.sending.lease import leased
from campaign.sending.preflight.changes import key_of

_UNSETTLED = "not all that a log says was sent is settled: that was broken off"
_EXPRESSION = re.compile(r"\{\{.*?\}\}|\{%.*?%\}")


@dataclass(frozen=True, slots=True)
class Match:
    """A row of the list, and the deliveries that may have been its message."""

    recipient: Recipient
    deliveries: tuple[Delivery, ...]


def settle_waiting(ledger: Ledger, mails: Mapping[str, Collection[str]], words: str) -> int:
    """Settle as accepted what waits although its message is among these mails; return how many.

    `mails` are Message-IDs, each with whom it went to. First rows, then the copies that they leave owed.
    """
    # Of the ledger that was restored a row may have been refused, and was tried again since.
    statuses = [Status.PENDING, Status.DEFERRED, *([Status.REFUSED] if ledger.incomplete else [])]
    tokens = Tokens(ledger.name, Secrets(ledger.secret))

    def settle(waiting: Iterable[Entry]) -> int:
        keys = [entry.key for entry in sent(waiting, mails, tokens)]
        return ledger.settle_doubt(Status.ACCEPTED, keys, words, now, waiting=True) if keys else 0

    now, history = time.time_ns(), ledger.history
    rows = settle(history.entries(now, statuses))
    return rows + settle(map(row_of, history.copies(now, statuses)))


def enrol(campaign: CampaignFile, ledger: Ledger) -> None:
    """Bring the ledger's rows up to the list. Raises LeaseHeld, and UserError for what is wrong with it."""
    recipients = Recipients(campaign)
    with leased(campaign, ledger, 0.0, lambda seconds, why: None):
        enrolment = ledger.enrolment()
        enrolment.stage(recipients.columns, iter(recipients), frozenset())
        for _ in enrolment.drop_duplicates():
            pass  # the first row of a key is the one that is sent
        enrolment.recognise()
        enrolment.apply(time.time_ns())
        ledger.adopt(key_of(campaign))


def matches(campaign: CampaignFile, deliveries: Iterable[Delivery]) -> list[Match]:
    """Return the rows of the list whose address had mail from the campaign's sender."""
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
    """Enrol the list, and settle these rows of it as accepted; return how many that were.

    Until all is settled, nothing is sent from this ledger.
    """
    ledger.mark_incomplete(_UNSETTLED)
    enrol(campaign, ledger)
    keys = [match.recipient.key for match in found]
    count = ledger.settle_doubt(Status.ACCEPTED, keys, words, time.time_ns(), waiting=True)
    ledger.complete()
    return count


def shared(found: Iterable[Match]) -> set[str]:
    """Return the folded addresses that more rows have than the log has messages to them."""
    rows = Counter(fold(match.recipient.email) for match in found)
    had = {fold(match.recipient.email): len(match.deliveries) for match in found}
    return {address for address, count in rows.items() if count > had[address]}


def _sender(campaign: CampaignFile) -> re.Pattern[str]:
    """Return what the envelope's sender looks like; what its template computes may be anything."""
    text = campaign.envelope_from or parseaddr(campaign.from_)[1] or campaign.from_
    text = "" if text.strip() == "<>" else text.strip()
    plain = _EXPRESSION.split(text)
    return re.compile(".*".join(map(re.escape, plain)), re.IGNORECASE)
