"""Judges the server's answers to one connection's messages, records them in the ledger, and reports them.

    Settled → dispatch.judge → retry.decide → run.record(result) → dispatch.note, the listener

An answer and the next intents share a commit if they come together. In a window, answers are held for a
moment to make that possible; if the process crashed meanwhile, their messages would be in doubt.
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

_HELD = SECOND // 50  # ns that an answer waits for the next intents


class Answers:
    """The messages of one connection that wait for an answer.

    `open` are the submitted messages, by key. `fruitful`: the server has judged a message since this was
    last set to False. `fruitless`: the connection counts here how many sessions in a row were not
    fruitful; a judgement resets it to 0.
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
        self._unreported: list[Done] = []  # recorded; the next content leaves before they are reported
        self._random = random.Random()  # noqa: S311  (jitter, no secret)

    @property
    def octets(self) -> int:
        """The total size of the unanswered contents, in octets."""
        sent = sum(work.message.size for work in self.open.values())
        return sent - sum(one.message.size for one in self._held)

    def hold(self, settled: Sequence[Settled]) -> None:
        """Keep acceptances until `settle`. Any other answer may be a reason to stop: settle at once."""
        if settled and not self._held:
            self._held_since = clock.steady()
        self._held += settled
        if any(judge(one.answers[0]) is not Verdict.ACCEPTED for one in settled):
            self.settle()

    def settle_held(self) -> int:
        """Settle what was held long enough; return the ns until more must be, a second if none is held."""
        if not self._held:
            return SECOND
        left = self._held_since + _HELD - clock.steady()
        if left <= 0:
            self.settle()
        return max(0, left)

    def settle(self, settled: Sequence[Settled] = (), intents: Sequence[Intent] = ()) -> set[str]:
        """Record these answers, the held ones, and intents; return the keys whose intents hold.

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
        finally:  # the answers count, even if the intents fail
            self._unreported += done
            # Acceptances can be reported after the next content has left.
            accepted = all(one.verdict is Verdict.ACCEPTED for one in done)
            if not accepted or not intents or len(granted) < len(intents):
                self.report()
        return granted

    def report(self) -> None:
        """Report the recorded answers to the dispatch and the listener."""
        while self._unreported:
            one = self._unreported.pop(0)
            if one.verdict not in (Verdict.SESSION, Verdict.UNSENT, Verdict.IN_DOUBT):
                self.fruitful, self.fruitless = True, 0
            now, utc = clock.steady(), one.result.settled_at
            self._dispatch.note(one.own, one.verdict, now, utc, one.started_at)
            if one.own.fate is not Fate.UNSENT:
                self._on_result(one.claim, one.result)
