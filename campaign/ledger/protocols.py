"""What enrolment and sending ask of a ledger, whatever kind it is, and the nouns they need for it.

    Enrolment     the list compared with what is known: stage → plan → apply
    Run           one sending process: claim → record an intent → record its result

Beside them stand `suppressions` (who gets nothing) and `history` (what happened).

Times are UTC, in integer nanoseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from campaign.clock import Moment
from campaign.ledger.scope import Scope
from campaign.ledger.slots import Slots
from campaign.model import BadRow, Double, Recipient, Window

if TYPE_CHECKING:
    from campaign.delivery import Result, Verdict

WINDOW = 200
"""Results of a campaign that the circuit breaker judges together, whatever run they are of."""

_COPY = "\0"  # no cell of a list holds it


@dataclass(frozen=True, slots=True)
class Claim:
    """A row to send now, or one `copy` (cc or bcc) that is still owed of a row that was accepted.

    `attempts` were charged before and `spared` were not. `settled` are the folded addresses of copies
    that are owed nothing any more.
    """

    recipient: Recipient
    attempts: int
    spared: int = 0
    settled: frozenset[str] = frozenset()
    copy: str = ""

    @property
    def key(self) -> str:
        """What intents and results name it by: the row's key, and behind it the copy's address."""
        return copy_key(self.recipient.key, self.copy) if self.copy else self.recipient.key


def copy_key(key: str, copy: str) -> str:
    """Return what names a copy of a row in intents and results."""
    return f"{key}{_COPY}{copy}"


def row_and_copy(key: str) -> tuple[str, str]:
    """Return the row's key and the copy's address, "" for none, that the key of a claim names."""
    row, _, copy = key.partition(_COPY)
    return row, copy


@dataclass(frozen=True, slots=True)
class Intent:
    """The record that a content is about to leave, to these envelope addresses. `key` is its claim's.

    `started_at` is when it is planned to leave, UTC ns; `steady` is the same moment on `clock.steady`.
    """

    key: str
    started_at: int
    addresses: tuple[str, ...]
    message_id: str
    bounce_token: str = ""
    steady: int | None = None


@dataclass(frozen=True, slots=True)
class Choices:
    """What the person decided: send again to rows in doubt, and to rows that were refused earlier."""

    resend_doubt: bool = False
    retry_refused: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will do, in rows of the list.

    `to_send` is the sum of `new`, `changed`, `waiting` (unchanged since an earlier run), `returned`
    (withdrawn earlier, and back in the list), `again` (in doubt or refused and to be tried again as
    `Choices` says, or no longer suppressed) and `deferred`; each row counts once. `twice` are those of
    them that are in doubt, and may have arrived. `copies` are cc and bcc addresses that are still owed
    of rows that were accepted. `withdrawn` rows left the list before they were sent. The other counts
    are of rows that are not sent. `barred` are those of `refused` that are also suppressed, so that
    `retry_refused` does not reach them. `first` and `last` are the addresses of the first and last row
    to send. Of the new rows, `rekeyed` go to addresses that have had this campaign by a row that is no
    longer listed, and `further` to addresses that have had it by rows that are. `gone` rows that have
    had it are not listed. The list has `rows`, and had `rows_before` at the last enrolment, if known.
    """

    to_send: int
    copies: int
    new: int
    waiting: int
    changed: int
    returned: int
    again: int
    deferred: int
    withdrawn: int
    accepted: int
    refused: int
    barred: int
    in_doubt: int
    suppressed: int
    invalid: int
    twice: int = 0
    first: str = ""
    last: str = ""
    rekeyed: int = 0
    further: int = 0
    gone: int = 0
    rows: int = 0
    rows_before: int | None = None


class Enrolment(Protocol):
    """One reading of the list. The ledger does not change before `apply`.

    Call in this order: stage, drop_duplicates, recognise; then to_send, mark_bad and plan as needed;
    apply at the end, or never.
    """

    def stage(
        self, columns: tuple[str, ...], rows: Iterable[Recipient | BadRow], shown: Collection[str] = ()
    ) -> None:
        """Read the rows of the list, which have these columns; messages show or attach those `shown`."""

    def drop_duplicates(self) -> Iterator[Double]:
        """Drop each row whose key an earlier row has, and return them in list order.

        They are dropped when this returns, and read from disk as they are consumed.
        """

    def recognise(self) -> None:
        """Mark the staged rows of people who are suppressed or were forgotten; may be repeated."""

    def mark_bad(self, rows: Iterable[tuple[int, str]]) -> None:
        """Record for rows, by their place in the list, why they cannot be sent."""

    def plan(self) -> Plan:
        """Count what `apply` will do.

        Raises UserError where doubt would be sent again whose process can still be seen: it may send it.
        """

    def to_send(self) -> Iterator[Recipient]:
        """Iterate over the rows that will be sent, in list order."""

    def suppressed(self, addresses: Collection[str]) -> set[str]:
        """Return those of the addresses that the suppression list covers in this campaign."""

    def apply(self, now: int) -> None:
        """Write the plan to the ledger, all of it or nothing.

        Rows of people who were suppressed or forgotten since `recognise` are not sent.
        """


class Run(Protocol):
    """One run of a campaign that sends: it holds the lease from its start to `end`.

    Every method may be called from any connection's thread. Any method that writes raises LedgerFull
    where nothing can be written any more, and LeaseLost where another run took over.
    """

    def claim(self, now: int, count: int, *, again_first: bool = False) -> list[Claim]:
        """Return up to `count` rows and copies that are due, and hold them.

        They come in list order; `again_first`: those that were tried before come first.
        """

    def unclaim(self, keys: Sequence[str]) -> None:
        """Let go of rows that were claimed and not sent."""

    def is_due(self, key: str) -> bool:
        """Whether a claimed row is still to be sent, as far as was noticed at the last intent.

        Only an intent that holds makes that certain.
        """

    def next_due(self, now: int) -> int | None:
        """Return when the next unclaimed row is due, or None if there is none."""

    def record(self, results: Sequence[Result], intents: Sequence[Intent]) -> set[str]:
        """Commit results and intents, and return the keys whose intents hold.

        An intent does not hold for a row that was withdrawn, suppressed or settled meanwhile: that row
        must not be sent. While another process has the ledger locked, results are kept, and intents wait
        for half a minute, after which they raise LedgerBusy.
        """

    def catch_up(self) -> int:
        """Try to write what was kept while the ledger was locked; return how much is left."""

    @property
    def has_sent(self) -> bool:
        """Whether an intent has held: a message may have left."""

    def recent_verdicts(self, count: int) -> list[Verdict]:
        """Return the verdicts on the campaign's last results since the breaker tripped, oldest first."""

    def trip(self, now: int, *, take_back: bool) -> None:
        """Begin a new window; `take_back`: remove the suppressions that results of the old one hold."""

    def release_held(self) -> None:
        """Let the suppressions that are held for this campaign hold for all."""

    def suppressed_by_it(self) -> int:
        """Return how many addresses this run has put on the suppression list."""

    def is_suppressed(self, address: str) -> bool:
        """Whether the suppression list covers an address."""

    def ages(self, scope: Scope, now: Moment, period: int, places: int) -> list[tuple[int, int]]:
        """Return (age in ns, addresses) of the last starts in `scope` that are younger than `period` ns.

        The oldest comes first; at most the last `places` are returned. A start that the clocks put into
        the future counts as now.
        """

    def slots(self, windows: Sequence[Window]) -> Slots | None:
        """Return where places in these windows are booked, or None where no other machine can take any."""

    def note_start(self, started_at: int, addresses: int, steady: int | None = None) -> None:
        """Count a test message, which belongs to no row, towards the rate."""

    def put_off(self, intent: Intent) -> None:
        """Record the later start of a content whose intent holds: the one that `intent` now says."""

    def heartbeat(self, now: int, steady: int | None = None) -> None:
        """Renew the lease. `steady` is `clock.steady`, read before `now`; without it, it is read here.

        Raises LedgerBusy where another process has the ledger locked: to be tried again soon.
        """

    def holds(self, steady: int) -> bool:
        """Whether the lease was renewed so lately that nobody can have taken it over."""

    def hurry(self) -> None:
        """Wait no longer than a moment for a ledger that does not answer; a signal's handler may call it.

        What waits for it longer raises LedgerGivenUp.
        """

    def end(self, now: int) -> None:
        """Give the lease back."""
