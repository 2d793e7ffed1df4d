"""Records what comes back after sending, and decides who is suppressed for it.

The decisions are here, once for all kinds of ledger; the SQL is in `sqlite/returning.py` and
`postgres/returning.py`. If so many addresses bounce that the bounces are not believed, their suppressions
are `disputed`: they hold for that campaign only, until a person decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hmac import compare_digest
from typing import Literal, Protocol

from campaign.ledger.patterns import hashed
from campaign.ledger.returns import (
    EVENTS_OF_ONE,
    FEW,
    FORGIVEN_AFTER,
    TOO_MANY_DEAD,
    Event,
    Fate,
    Kind,
    Mailed,
    Recorded,
    Rules,
    Said,
    Shares,
    by_address,
)

_FOUND_BY = 10  # digits of a token by which rows are looked up
_WISHES = (Kind.COMPLAINED, Kind.UNSUBSCRIBED)  # a person's request: always recorded and obeyed
_WORDS = {
    Kind.BOUNCED: "bounced",
    Kind.BOUNCED_FOR_NOW: "bounced again and again",
    Kind.COMPLAINED: "complained",
    Kind.UNSUBSCRIBED: "unsubscribed",
}

State = Literal["released", "disputed"]
"""State of a suppression: `released` ones hold for every campaign, `disputed` ones for their own only."""


@dataclass(frozen=True, slots=True)
class EventSuppression:
    """A suppression of an address because of an event. `event` is its id, None if it was not kept.

    `added_at` is UTC ns.
    """

    address: str
    campaign: int
    state: State
    reason: str
    added_at: int
    event: int | None


class ReturnStatements(Protocol):
    """The statements that `Returns` needs from a kind of ledger. Addresses are folded, times are UTC ns.

    An event here is what came back about one address, from one `source`.
    """

    def transaction(self) -> AbstractContextManager[None]:
        """Commit all changes within this context, or none."""

    def secret(self) -> bytes:
        """Return this ledger's HMAC key."""

    def tokens_from(self, begin: str) -> list[str]:
        """Return the bounce tokens with this prefix."""

    def row(
        self, column: Literal["bounce_token", "message_id"], value: str, campaign: int | None
    ) -> tuple[int, int, str, str, bool] | None:
        """Return (id, campaign, key, address, had) of the row with this value, in one campaign or in any.

        `had`: the server accepted its message, or may have.
        """

    def copies_had(self, row: int) -> list[str]:
        """Return the addresses of the row's copies that were accepted, or may have been."""

    def most_addresses(self, row: int) -> int | None:
        """Return how many addresses the row's largest envelope had; None if it was never attempted."""

    def cells(self, campaign: int, key: str) -> Mapping[str, str]:
        """Return a row's cells by column."""

    def has_event(self, campaign: int, key: str, source: str) -> bool:
        """Whether a row has an event from this source."""

    def events_kept(self, campaign: int, key: str, kind: Kind, address: str) -> int:
        """Return how many events of this kind are kept for an address of a row."""

    def append(self, event: Event) -> int:
        """Append an event, and return its id."""

    def addresses(self, campaign: int, kind: Kind) -> int:
        """Return how many addresses of a campaign have an event of this kind."""

    def accepted(self, campaign: int) -> int:
        """Return how many rows of a campaign were accepted."""

    def forgiven_at(self, address: str, until: int) -> int:
        """Return when, up to `until`, the address last accepted a message without a bounce; 0 for never."""

    def campaigns_of(self, address: str, kind: Kind, since: int) -> int:
        """Return how many campaigns have an event of this kind for the address.

        Only events of messages that were settled after `since` count.
        """

    def suppress(self, suppression: EventSuppression, unless: str, *, anew: bool) -> None:
        """Suppress an address, unless the pattern `unless` is on the list.

        A suppression that the campaign already has is overwritten if it is not `released`, and with `anew` in
        any case.
        """

    def suppress_waiting(self, addresses: list[str]) -> None:
        """Suppress the waiting rows and copies to these addresses, which have just been added to the list."""

    def dispute(self, campaign: int, kind: Kind) -> None:
        """Set to `disputed` the suppressions that a campaign's events of this kind caused."""

    def disputed(self, campaign: int, kind: Kind) -> int:
        """Return how many suppressions caused by such events are `disputed`."""

    def latest(self, campaign: int) -> list[tuple[int, str]]:
        """Return (id, name) of a campaign, if it exists, and of the other one that sent most recently."""

    def codes(self, campaign: int, most: int) -> list[tuple[str, Kind, str, int]]:
        """Return a campaign's most frequent (domain, kind, first word, addresses), at most `most`."""

    def words(self, campaign: int) -> list[tuple[str, Kind, str]]:
        """Return (key, kind, text) of a campaign's events, the oldest first."""


class Returns:
    """What came back for a campaign, or for all of a ledger. It may be used while another process is sending.

    Without a campaign it finds and records rows of every campaign, and all counts are 0.
    """

    def __init__(self, statements: ReturnStatements, campaign_id: int | None) -> None:
        self._statements = statements
        self._campaign_id = campaign_id
        self._accepted: dict[int, int] = {}  # counting a million rows for each bounce would be slow

    def of_token(self, token: str) -> Mailed | None:
        """Return the row that has a bounce token, None if there is none.

        An index finds the tokens with the same beginning; the rest is compared in constant time.
        """
        for known in self._statements.tokens_from(token[:_FOUND_BY]):
            if compare_digest(known.encode(), token.encode()):
                return self._mailed("bounce_token", known)
        return None

    def of_message_id(self, message_id: str) -> Mailed | None:
        """Return the row that has a Message-ID, given in angle brackets."""
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
        """Return a cell of a row; "" if its list has no such column."""
        return self._statements.cells(mailed.campaign, mailed.key).get(column, "")

    def record(
        self, mailed: Mailed, said: Sequence[Said], source: str, now: int, rules: Rules
    ) -> list[Recorded]:
        """Record what a report says about a row, and suppress whom it may, in one transaction.

        `source` identifies the report: what it says about an address is recorded once, however often the
        report is read. So it does not suppress somebody again whom a person took off the list. Raises
        LedgerFull.
        """
        with self._statements.transaction():
            recorded = [
                Recorded(one.kind, address, self._record(mailed, address, one, source, now, rules))
                for address, one in by_address(mailed, said)
            ]
        suppressed = [one.address for one in recorded if one.fate is Fate.SUPPRESSED]
        self._statements.suppress_waiting(suppressed)
        return recorded

    def _record(self, mailed: Mailed, address: str, said: Said, source: str, now: int, rules: Rules) -> Fate:
        if not address:
            return Fate.UNNAMED
        statements, row = self._statements, (mailed.campaign, mailed.key)
        source = f"{source} {said.kind} {address}"
        if statements.has_event(*row, source):
            return Fate.KNOWN
        full = statements.events_kept(*row, said.kind, address) >= EVENTS_OF_ONE
        if full and said.kind not in _WISHES:
            return Fate.TOO_OFTEN
        event = Event(*row, said.kind, address, now, said.text, source)
        event_id = None if full else statements.append(event)
        state = self._state(mailed.campaign, address, said.kind, now, rules)
        if state is None:
            return Fate.NOTED
        reason = f"{_WORDS[said.kind]}: {said.text}"
        statements.suppress(
            EventSuppression(address, mailed.campaign, state, reason, now, event_id),
            # A forgotten person is listed as a hash; storing the address would undo that.
            unless=hashed(statements.secret(), address),
            anew=said.kind in _WISHES,
        )
        return Fate.HELD if state == "disputed" else Fate.SUPPRESSED

    def _state(self, campaign: int, address: str, kind: Kind, now: int, rules: Rules) -> State | None:
        """Return the state of the suppression that an event causes; None if it causes none."""
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
        """Whether so many addresses of a campaign are dead that its list or a relay must be to blame."""
        bounced = self._statements.addresses(campaign, Kind.BOUNCED)
        if bounced < FEW or bounced < TOO_MANY_DEAD * self._accepted_of(campaign):
            return False
        # Then earlier bounces of the campaign are not believed either.
        self._statements.dispute(campaign, Kind.BOUNCED)
        return True

    def _bounced_in(self, address: str, now: int, rules: Rules) -> int:
        """Return in how many campaigns an address bounced temporarily since it last accepted a message.

        A bounce counts at the time of the message that bounced, so it does not matter when bounces are read.
        """
        forgiven = self._statements.forgiven_at(address, now - FORGIVEN_AFTER)
        since = max(now - rules.within, forgiven)
        return self._statements.campaigns_of(address, Kind.BOUNCED_FOR_NOW, since)

    def counts(self) -> Mapping[Kind, int]:
        """Return how many of the campaign's addresses have an event of each kind."""
        return {kind: self._statements.addresses(self._campaign_id or 0, kind) for kind in Kind}

    def held(self) -> int:
        """Return how many dead addresses are suppressed for this campaign only, until a person decides."""
        return self._statements.disputed(self._campaign_id or 0, Kind.BOUNCED)

    def shares(self) -> list[Shares]:
        """Return how this campaign was received, and the one before it that sent most recently."""
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
        """Return the most frequent (domain, kind, code, addresses) of what came back, at most `most`."""
        return self._statements.codes(self._campaign_id or 0, most)

    def last_words(self) -> Mapping[str, str]:
        """Return, for each row's key, what came back last: the kind and the report's text."""
        return {
            key: f"{kind.replace('_', ' ')}: {text}"
            for key, kind, text in self._statements.words(self._campaign_id or 0)
        }

    def _accepted_of(self, campaign: int) -> int:
        if campaign not in self._accepted:
            self._accepted[campaign] = self._statements.accepted(campaign)
        return self._accepted[campaign]
