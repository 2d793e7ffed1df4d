"""What the server answered to one connection's messages: judged, recorded in the ledger, and told.

    Settled → dispatch.judge → retry.decide → run.record(result) → dispatch.note, the listener

An answer and the next intents share a commit where they come together. In a window answers are held a
moment for that; until they are recorded, their messages would be in doubt after a crash.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

from campaign import clock
from campaign.campaignfile.models import RetryPolicy
from campaign.delivery import Fate, Result, Settled, Verdict
from campaign.ledger.protocols import Claim, Intent, Run
from campaign.model import SECOND
from campaign.sending.dispatch import Dispatch
from campaign.sending.retry import Standing, decide
from campaign.sending.work import Done, Work
from campaign.verdict import judge

_HELD = SECOND // 50  # ns for which an answer waits for the next intents


class Answers:
    """The messages of one connection that wait for their answers, and what becomes of them.

    `open` are those that were submitted, by key. `fruitful`: the server has judged a message since that
    was last set to False; `fruitless` is for the connection to count sessions in a row that were not, and
    each judgement sets it to 0.
    """

    def __init__(
        self,
        run: Run,
        dispatch: Dispatch,
        policy: RetryPolicy,
        on_result: Callable[[Claim, Result], None],
    ) -> None:
        self.open: dict[str, Work] = {}
        self.fruitful = False
        self.fruitless = 0
        self._run = run
        self._dispatch = dispatch
        self._policy = policy
        self._on_result = on_result
        self._held: list[Settled] = []
        self._held_since = 0
        self._untold: list[Done] = []  # accepted: the content behind them goes before they are told of
        self._random = random.Random()  # noqa: S311  (jitter, no secret)

    @property
    def octets(self) -> int:
        """How many octets the contents have that are unanswered."""
        sent = sum(work.message.size for work in self.open.values())
        return sent - sum(one.message.size for one in self._held)

    def hold(self, settled: Sequence[Settled]) -> None:
        """Keep what was accepted until `settle`. What may say something against going on is settled now."""
        if settled and not self._held:
            self._held_since = clock.steady()
        self._held += settled
        if any(judge(one.answers[0]) is not Verdict.ACCEPTED for one in settled):
            self.settle()

    def settle_held(self) -> int:
        """Settle what was held long enough, and return 0; else the ns until it was, a second for nothing."""
        if not self._held:
            return SECOND
        left = self._held_since + _HELD - clock.steady()
        if left <= 0:
            self.settle()
        return max(0, left)

    def settle(self, settled: Sequence[Settled] = (), intents: Sequence[Intent] = ()) -> set[str]:
        """Record what was answered, what was held too, and intents; return the keys whose intents hold.

        Raises LedgerFull.
        """
        if not settled and not intents and not self._held:
            return set()
        settled, self._held = [*self._held, *settled], []
        done: list[Done] = []
        utc, granted = time.time_ns(), set[str]()
        for one in settled:
            work = self.open.pop(one.message.key)
            work.booking.settled()
            verdict, claim = self._dispatch.judge(one.answers[0]), work.claim
            standing = Standing(claim.attempts, claim.spared, self._dispatch.others_accepted())
            result = decide(one, verdict, standing, policy=self._policy, now=utc, random=self._random)
            done.append(Done(claim, one.answers[0], verdict, result, work.booking.started_at))
        try:
            granted = self._run.record([one.result for one in done], intents)
        finally:  # an answer was given, whatever becomes of the intents
            self._untold += done
            # One that says nothing against going on can wait until the next content is on its way.
            accepted = all(one.verdict is Verdict.ACCEPTED for one in done)
            if not accepted or not intents or len(granted) < len(intents):
                self.tell()
        return granted

    def tell(self) -> None:
        """Tell of what was answered, and is in the ledger."""
        while self._untold:
            one = self._untold.pop(0)
            if one.verdict not in (Verdict.SESSION, Verdict.UNSENT, Verdict.IN_DOUBT):
                self.fruitful, self.fruitless = True, 0
            now, utc = clock.steady(), one.result.settled_at
            self._dispatch.note(one.own, one.verdict, now, utc, one.started_at)
            if one.own.fate is not Fate.UNSENT:
                self._on_result(one.claim, one.result)
