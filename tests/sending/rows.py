"""A run with its rows in memory: a small real `Run`, for tests of what connections share."""

from __future__ import annotations

from collections.abc import Sequence

from campaign.clock import Moment
from campaign.delivery import Result, Verdict
from campaign.ledger import Scope
from campaign.ledger.protocols import Claim, Intent
from campaign.model import Recipient, Status, Window

_WAITING = (Status.PENDING, Status.DEFERRED)


class Rows:
    """Rows by key, with their status and due time. A test may read everything, and set `suppressed`."""

    def __init__(self, *addresses: str) -> None:
        self.rows = {a: Recipient(n, n + 1, a, a, "", {"email": a}) for n, a in enumerate(addresses, 1)}
        self.status = dict.fromkeys(self.rows, Status.PENDING)
        self.due = dict.fromkeys(self.rows, 0)
        self.charged = dict.fromkeys(self.rows, 0)
        self.spared = dict.fromkeys(self.rows, 0)
        self.trips: list[bool] = []
        self.results: list[Result] = []
        self.intended: list[Intent] = []
        self.suppressed: set[str] = set()
        self.beats: list[int] = []
        self._claimed: set[str] = set()

    def claim(self, now: int, count: int, *, retries_first: bool = False) -> list[Claim]:
        free = [
            key for key in self.rows if self.is_due(key) and key not in self._claimed and self.due[key] <= now
        ]
        taken = sorted(
            free,
            key=lambda key: (
                retries_first and not self.charged[key] + self.spared[key],
                self.due[key],
                self.rows[key].number,
            ),
        )[:count]
        self._claimed.update(taken)
        return [Claim(self.rows[key], self.charged[key], self.spared[key]) for key in taken]

    def unclaim(self, keys: Sequence[str]) -> None:
        self._claimed.difference_update(keys)

    def is_due(self, key: str) -> bool:
        return self.status[key] in _WAITING and key not in self.suppressed

    def next_due(self, now: int) -> int | None:
        free = [self.due[key] for key in self.rows if self.is_due(key) and key not in self._claimed]
        return min(free, default=None)

    def record(self, results: Sequence[Result], intents: Sequence[Intent]) -> set[str]:
        for result in results:
            self.results.append(result)
            own = result.outcomes[0]
            self.status[result.key], self.due[result.key] = own.status, own.due_at
            self.charged[result.key] += own.charged
            self.spared[result.key] += result.spared
        self.unclaim([result.key for result in results])
        held = [intent for intent in intents if self.is_due(intent.key)]
        for intent in held:
            self.status[intent.key] = Status.IN_FLIGHT
        self.intended += held
        return {intent.key for intent in held}

    def catch_up(self) -> int:
        return 0

    def recent_verdicts(self, count: int) -> list[Verdict]:
        return []

    def trip(self, now: int, *, take_back: bool) -> None:
        self.trips.append(take_back)

    def release_held(self) -> None:
        pass

    def addresses_suppressed(self) -> int:
        return 0

    @property
    def has_sent(self) -> bool:
        return False

    def is_suppressed(self, address: str) -> bool:
        return address in self.suppressed

    def start_ages(self, scope: Scope, now: Moment, period: int, places: int) -> list[tuple[int, int]]:
        ages = [(now.utc - intent.started_at, len(intent.addresses)) for intent in self.intended]
        return [(age, addresses) for age, addresses in ages if age < period]

    def slots(self, windows: Sequence[Window]) -> None:
        return None

    def note_start(self, started_at: int, addresses: int, steady: int | None = None) -> None:
        self.intended.append(Intent("", started_at, ("",) * addresses, ""))

    def postpone(self, intent: Intent) -> None:
        self.intended = [intent if one.key == intent.key else one for one in self.intended]

    def heartbeat(self, now: int, steady: int | None = None) -> None:
        self.beats.append(now)

    def holds(self, steady: int) -> bool:
        return True

    def hurry(self) -> None:
        pass

    def end(self, now: int) -> None:
        self._claimed.clear()
