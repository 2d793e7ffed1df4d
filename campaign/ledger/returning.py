"""What the ledger does with what comes back of messages: records it, and decides who gets nothing any more.

The decisions are here, once for every kind of ledger; `sqlite/returning.py` and `postgres/returning.py` hold
the statements that they need. A suppression of dead addresses that is not believed is `disputed`: it holds
for its campaign alone, and only a person ends it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from hmac import compare_digest
from typing import Literal, Protocol

from campaign.ledger.patterns import hashed
from campaign.ledger.returns import (
    EVENTS_OF_ONE,
    FEW,
    FORGIVEN_AFTER,
    TOO_MANY_DEAD,
    Fate,
    Kind,
    Mailed,
    Recorded,
    Rules,
    Said,
    Shares,
    apportioned,
)

_FOUND_BY = 10  # digits of a token
_WISHES = (Kind.COMPLAINED, Kind.UNSUBSCRIBED)  # of a person, and so obeyed however often they come
_WORDS = {
    Kind.BOUNCED: "bounced",
    Kind.BOUNCED_FOR_NOW: "bounced again and again",
    Kind.COMPLAINED: "complained",
    Kind.UNSUBSCRIBED: "unsubscribed",
}

State = Literal["released", "disputed"]
"""Of a suppression: it holds for every campaign, or for its own alone until a person decides."""


class ReturnStatements(Protocol):
    """The statements of one kind of ledger that `Returns` needs. Addresses are folded, times UTC ns.

    An event is what came back of an address, told by one `source`.
    """

    def transaction(self) -> AbstractContextManager[None]:
        """Commit what is changed within, or nothing of it."""

    def secret(self) -> bytes:
        """Return the key of this ledger's HMACs."""

    def tokens_from(self, begin: str) -> list[str]:
        """Return the bounce tokens that begin so."""

    def row(
        self, column: Literal["bounce_token", "message_id"], value: str, campaign: int | None
    ) -> tuple[int, int, str, str, bool] | None:
        """Return (id, campaign, key, address, had) of the row of a campaign, or of any, with this value.

        `had`: a server may have taken its message, here and below.
        """

    def copies_had(self, row: int) -> list[str]:
        """Return the addresses of the row's copies that had its message."""

    def most_addresses(self, row: int) -> int | None:
        """Return how many addresses the largest envelope of the row had, None for no attempt."""

    def cells(self, campaign: int, key: str) -> Mapping[str, str]:
        """Return the cells of a row by column."""

    def knows(self, campaign: int, key: str, source: str) -> bool:
        """Whether a row has an event of this source."""

    def kept(self, campaign: int, key: str, kind: Kind, address: str) -> int:
        """Return how many events of a kind a row has that came back of an address."""

    def append(
        self, campaign: int, key: str, kind: Kind, address: str, now: int, text: str, source: str
    ) -> int:
        """Append an event, and return its id."""

    def addresses(self, campaign: int, kind: Kind) -> int:
        """Return how many addresses of a campaign have an event of a kind."""

    def accepted(self, campaign: int) -> int:
        """Return how many rows of a campaign were accepted."""

    def forgiven_at(self, address: str, until: int) -> int:
        """Return when, up to `until`, an address last took a message that did not bounce; 0 for never."""

    def campaigns_of(self, address: str, kind: Kind, since: int) -> int:
        """Return how many campaigns have an event of a kind, of messages to it settled after `since`."""

    def suppress(
        self,
        address: str,
        unless: str,
        campaign: int,
        state: State,
        reason: str,
        now: int,
        event: int | None,
        *,
        anew: bool,
    ) -> None:
        """Suppress an address, unless the pattern `unless` is on the list.

        A suppression of the campaign that is not `released` is overwritten, and `anew` also one that is.
        """

    def suppress_waiting(self, addresses: list[str]) -> None:
        """Suppress the waiting rows and copies to these addresses, which have just been suppressed."""

    def dispute(self, campaign: int, kind: Kind) -> None:
        """Make the suppressions `disputed` that a campaign's events of a kind have made."""

    def disputed(self, campaign: int, kind: Kind) -> int:
        """Return how many suppressions that such events have made are `disputed`."""

    def latest(self, campaign: int) -> list[tuple[int, str]]:
        """Return id and name of a campaign, if it is known, and of the other one that was mailed last."""

    def codes(self, campaign: int, most: int) -> list[tuple[str, Kind, str, int]]:
        """Return the `most` frequent (domain, kind, first word, addresses) of a campaign's events."""

    def words(self, campaign: int) -> list[tuple[str, Kind, str]]:
        """Return (key, kind, text) of a campaign's events, the oldest first."""


class Returns:
    """What came back of a campaign, or of all of a ledger; may be used while another process sends.

    Without a campaign, it records and finds rows of every one, and has counts of none.
    """

    def __init__(self, statements: ReturnStatements, campaign_id: int | None) -> None:
        self._statements = statements
        self._campaign_id = campaign_id
        self._accepted: dict[int, int] = {}  # counting a million rows for every bounce would take long

    def of_token(self, token: str) -> Mailed | None:
        """Return the row that has a bounce token.

        The index finds tokens that begin alike; the rest is compared in constant time.
        """
        for known in self._statements.tokens_from(token[:_FOUND_BY]):
            if compare_digest(known.encode(), token.encode()):
                return self._mailed("bounce_token", known)
        return None

    def of_message_id(self, message_id: str) -> Mailed | None:
        """Return the row that has a Message-ID, which is in angle brackets."""
        return self._mailed("message_id", message_id)

    def _mailed(self, column: Literal["bounce_token", "message_id"], value: str) -> Mailed | None:
        found = self._statements.row(column, value, self._campaign_id)
        if found is None:
            return None
        row, campaign, key, own, had = found
        copies = frozenset(self._statements.copies_had(row))
        alone = self._statements.most_addresses(row) == 1 and not copies
        return Mailed(campaign, key, own, copies | ({own} if had else set()), alone)

    def cell(self, mailed: Mailed, column: str) -> str:
        """Return a cell of a row, "" where its list has no such column."""
        return self._statements.cells(mailed.campaign, mailed.key).get(column, "")

    def record(
        self, mailed: Mailed, said: Sequence[Said], source: str, now: int, rules: Rules
    ) -> list[Recorded]:
        """Record what a report says of a row, and suppress whom it may; all in one transaction.

        `source` names the report: what it says of an address is recorded once, however often it is read,
        and suppresses nobody again whom a person took off the list meanwhile. Raises LedgerFull.
        """
        with self._statements.transaction():
            recorded = [
                Recorded(one.kind, address, self._record(mailed, address, one, source, now, rules))
                for address, one in apportioned(mailed, said)
            ]
        suppressed = [one.address for one in recorded if one.fate is Fate.SUPPRESSED]
        self._statements.suppress_waiting(suppressed)
        return recorded

    def _record(self, mailed: Mailed, address: str, said: Said, source: str, now: int, rules: Rules) -> Fate:
        if not address:
            return Fate.UNNAMED
        statements, row = self._statements, (mailed.campaign, mailed.key)
        source = f"{source} {said.kind} {address}"
        if statements.knows(*row, source):
            return Fate.KNOWN
        full = statements.kept(*row, said.kind, address) >= EVENTS_OF_ONE
        if full and said.kind not in _WISHES:
            return Fate.TOO_OFTEN
        event = None if full else statements.append(*row, said.kind, address, now, said.text, source)
        state = self._state(mailed.campaign, address, said.kind, now, rules)
        if state is None:
            return Fate.NOTED
        statements.suppress(
            address,
            # A forgotten person is on the list already, as a hash; the address must not be stored.
            hashed(statements.secret(), address),
            mailed.campaign,
            state,
            f"{_WORDS[said.kind]}: {said.text}",
            now,
            event,
            anew=said.kind in _WISHES,
        )
        return Fate.HELD if state == "disputed" else Fate.SUPPRESSED

    def _state(self, campaign: int, address: str, kind: Kind, now: int, rules: Rules) -> State | None:
        """Return the state of the suppression that an event makes, None for none."""
        match kind:
            case _ if kind in _WISHES:
                return "released"
            case Kind.BOUNCED if rules.dead:
                return "disputed" if self._too_many(campaign) else "released"
            case Kind.BOUNCED_FOR_NOW if rules.dead and self._bounced_in(address, now, rules) >= rules.soft:
                return "released"
            case _:
                return None

    def _too_many(self, campaign: int) -> bool:
        """Whether so many of a campaign are dead that its list or a relay is to blame."""
        bounced = self._statements.addresses(campaign, Kind.BOUNCED)
        if bounced < FEW or bounced < TOO_MANY_DEAD * self._accepted_of(campaign):
            return False
        # What was believed before is not any more.
        self._statements.dispute(campaign, Kind.BOUNCED)
        return True

    def _bounced_in(self, address: str, now: int, rules: Rules) -> int:
        """Return in how many campaigns an address bounced for now, since it took a message last.

        A bounce is as old as the message that bounced: whoever reads them late counts the same.
        """
        forgiven = self._statements.forgiven_at(address, now - FORGIVEN_AFTER)
        since = max(now - rules.within, forgiven)
        return self._statements.campaigns_of(address, Kind.BOUNCED_FOR_NOW, since)

    def counts(self) -> Mapping[Kind, int]:
        """Return how many addresses of the campaign each kind came back of."""
        return {kind: self._statements.addresses(self._campaign_id or 0, kind) for kind in Kind}

    def held(self) -> int:
        """Return how many dead addresses are suppressed for this campaign alone, until a person decides."""
        return self._statements.disputed(self._campaign_id or 0, Kind.BOUNCED)

    def shares(self) -> list[Shares]:
        """Return how this campaign was received, and the one that was mailed last before it."""
        return [
            Shares(
                name,
                self._accepted_of(campaign),
                self._statements.addresses(campaign, Kind.COMPLAINED),
                self._statements.addresses(campaign, Kind.BOUNCED),
            )
            for campaign, name in self._statements.latest(self._campaign_id or 0)
        ]

    def codes(self, most: int) -> list[tuple[str, Kind, str, int]]:
        """Return the `most` frequent (domain, kind, code, addresses) of what came back."""
        return self._statements.codes(self._campaign_id or 0, most)

    def last_words(self) -> Mapping[str, str]:
        """Return by a row's key what came back of it: the kind, and the last report's words."""
        return {
            key: f"{kind.replace('_', ' ')}: {text}"
            for key, kind, text in self._statements.words(self._campaign_id or 0)
        }

    def _accepted_of(self, campaign: int) -> int:
        if campaign not in self._accepted:
            self._accepted[campaign] = self._statements.accepted(campaign)
        return self._accepted[campaign]
