"""What enrolment and sending need from a ledger of any kind, and the types for it.

    Enrolment     compares the list with the ledger: stage → plan → apply
    Run           one sending process: claim → record an intent → record its result

See also `suppressions` and `history`.

Times are UTC, in integer nanoseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from campaign.clock import Moment
from campaign.ledger.scope import Scope
from campaign.ledger.slots import Slots
from campaign.model import BadRow, Double, Recipient, Status, Window

if TYPE_CHECKING:
    from campaign.delivery import Result, Verdict

_COPY = "\0"  # no cell of a list contains it


@dataclass(frozen=True, slots=True)
class Claim:
    """A row to send now, or one `copy` (cc or bcc) of an accepted row that is still to be sent.

    `attempts` were charged before, `spared` were not. `settled` are the folded addresses of copies to which
    nothing is to be sent any more.
    """

    recipient: Recipient
    attempts: int
    spared: int = 0
    settled: frozenset[str] = frozenset()
    copy: str = ""

    @property
    def key(self) -> str:
        """The key that intents and results use: the row's key, and for a copy its address after it."""
        return copy_key(self.recipient.key, self.copy) if self.copy else self.recipient.key


def copy_key(key: str, copy: str) -> str:
    """Return the key that intents and results use for a copy of a row."""
    return f"{key}{_COPY}{copy}"


def row_and_copy(key: str) -> tuple[str, str]:
    """Return the row's key and the copy's address ("" for none) that a claim's key stands for."""
    row, _, copy = key.partition(_COPY)
    return row, copy


@dataclass(frozen=True, slots=True)
class Intent:
    """The record that a message's content is about to leave, to these envelope addresses.

    `key` is its claim's. `started_at` is when it is planned to leave, UTC ns; `steady` is the same moment on
    `clock.steady`.
    """

    key: str
    started_at: int
    addresses: tuple[str, ...]
    message_id: str
    bounce_token: str = ""
    steady: int | None = None


@dataclass(frozen=True, slots=True)
class Choices:
    """What the user chose: to send rows in doubt again, and to send rows again that were refused earlier."""

    resend_doubt: bool = False
    retry_refused: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person or a mail server's log decided about rows: they become accepted, or pending.

    It applies to rows whose status is one of `of`. `words` say who decided; they become the reply, and an
    event. `decided_at` is UTC ns.
    """

    status: Status
    words: str
    decided_at: int
    of: tuple[Status, ...] = (Status.IN_DOUBT,)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will do, in rows of the list.

    `to_send` is the sum of these, in which each row counts once: `new`; `changed` since an earlier run;
    `waiting`, unchanged since then; `returned`, which had left the list; `again`, in doubt or refused and to
    be sent again as `Choices` says, or no longer suppressed; and `deferred`. `twice` of them are in doubt,
    so may have arrived. `copies` are cc and bcc addresses of accepted rows that are still to be sent.
    `withdrawn` rows have left the list before they were sent. `first` and `last` are the addresses of the
    first and last row to send.

    Rows that are not sent: `accepted`, `refused`, `in_doubt`, `suppressed`, `invalid`. `barred` of the
    refused ones are also suppressed, so `retry_refused` does not send them.

    Of the new rows, `rekeyed` go to addresses that have had this campaign through a row that is no longer
    listed, `further` through rows that still are. `gone` rows were sent, and are not listed any more. The
    list has `rows`; at the last enrolment it had `rows_before`, None if unknown.
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
    """One enrolment of the list. It does not change the ledger before `apply`.

    Call order: stage, drop_duplicates, recognise; then to_send, mark_bad and plan as needed; finally apply,
    or nothing.
    """

    def stage(
        self, columns: tuple[str, ...], rows: Iterable[Recipient | BadRow], shown: Collection[str] = ()
    ) -> None:
        """Read the rows of the list, which have these `columns`; messages show or attach those in `shown`."""

    def drop_duplicates(self) -> Iterator[Double]:
        """Drop each row whose key an earlier row has, and return the dropped ones in list order.

        All are dropped when this returns; the iterator then reads them from disk.
        """

    def recognise(self) -> None:
        """Mark the staged rows of people who are suppressed or were forgotten. May be called again."""

    def mark_bad(self, rows: Iterable[tuple[int, str]]) -> None:
        """Record why rows cannot be sent; each is (number in the list, reason)."""

    def plan(self) -> Plan:
        """Count what `apply` will do.

        Raises UserError if rows in doubt would be sent again while the process that was sending them still
        exists: it may yet send them.
        """

    def to_send(self) -> Iterator[Recipient]:
        """Iterate over the rows that will be sent, in list order."""

    def suppressed(self, addresses: Collection[str]) -> set[str]:
        """Return those of the addresses that are suppressed in this campaign."""

    def apply(self, now: int) -> None:
        """Write the plan to the ledger, all of it or nothing. `now` is UTC ns.

        Rows of people who were suppressed or forgotten since `recognise` are not sent.
        """


class Run(Protocol):
    """One run of a campaign that sends. It holds the lease from its start to `end`.

    Any thread may call its methods. Methods that write raise LedgerFull if the ledger cannot be written,
    and LeaseLost if another process has taken over.

    What makes sending safe: `record` commits an intent durably before the last octet of the content may
    leave (SQLite: synchronous=FULL; PostgreSQL: synchronous_commit on), and each connection has at most one
    row in flight (`smtp.window`: N). Rows that a dead run left in flight become `in_doubt` when the next
    run starts, and are never sent again silently.
    """

    def claim(self, now: int, count: int, *, retries_first: bool = False) -> list[Claim]:
        """Return up to `count` rows and copies that are due, and hold them.

        They come in list order; with `retries_first`, deferred ones come first.
        """

    def unclaim(self, keys: Sequence[str]) -> None:
        """Release rows that were claimed and not sent."""

    def is_due(self, key: str) -> bool:
        """Whether a claimed row was still to be sent when last checked.

        Changes since then may go unnoticed; only an intent that holds is certain.
        """

    def next_due(self, now: int) -> int | None:
        """Return when the next unclaimed row or copy is due, UTC ns; None if there is none."""

    def record(self, results: Sequence[Result], intents: Sequence[Intent]) -> set[str]:
        """Commit results and intents; return the keys of the intents that hold: their content may leave.

        An intent does not hold if its row was withdrawn, suppressed or settled meanwhile; that row must not
        be sent. While another process has the ledger locked, results are kept and written later; intents
        wait for half a minute, then LedgerBusy is raised.
        """

    def catch_up(self) -> int:
        """Try to write the results kept while the ledger was locked; return how many are left."""

    @property
    def has_sent(self) -> bool:
        """Whether any intent has held, so that a message may have left."""

    def recent_verdicts(self, count: int) -> list[Verdict]:
        """Return the verdicts on the campaign's last results since the breaker tripped, oldest first."""

    def trip(self, now: int, *, take_back: bool) -> None:
        """Start a new window of results. `take_back`: remove the suppressions that the old window holds."""

    def release_held(self) -> None:
        """Make the suppressions held for this campaign hold for every campaign."""

    def addresses_suppressed(self) -> int:
        """Return how many addresses this run has suppressed."""

    def is_suppressed(self, address: str) -> bool:
        """Whether an address is suppressed in this campaign."""

    def start_ages(self, scope: Scope, now: Moment, period: int, places: int) -> list[tuple[int, int]]:
        """Return (age in ns, addresses) of the latest starts in `scope` that are younger than `period` ns.

        The oldest comes first; at most the latest `places` are returned. A start in the future (a clock was
        ahead) gets an age that is at most its true age.
        """

    def slots(self, windows: Sequence[Window]) -> Slots | None:
        """Return where slots in these rate windows are booked; None if no other machine shares the rate."""

    def note_start(self, started_at: int, addresses: int, steady: int | None = None) -> None:
        """Count a test message, which belongs to no row, in the rate."""

    def postpone(self, intent: Intent) -> None:
        """Record that a content, whose intent holds, starts later: when `intent` now says."""

    def heartbeat(self, now: int, steady: int | None = None) -> None:
        """Renew the lease. `steady` is `clock.steady`, read before `now`; if None, it is read here.

        Raises LedgerBusy while another process has the ledger locked: try again soon.
        """

    def holds(self, steady: int) -> bool:
        """Whether the lease was renewed recently enough that no other process can have taken it over."""

    def hurry(self) -> None:
        """From now on, wait only a moment for a ledger that does not answer. A signal handler may call this.

        A call that waits longer raises LedgerGivenUp.
        """

    def end(self, now: int) -> None:
        """Give the lease back."""
