"""The circuit breaker: decides when a run must stop to protect the sender's reputation.

It judges the campaign's last 200 results over all runs. The ledger keeps them (`recent`), so that a cron
job that sends forty at a time is judged too. After a trip, a new window begins.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from campaign.delivery import Answer, Verdict
from campaign.ledger.verdicts import WINDOW
from campaign.verdict import words

if TYPE_CHECKING:
    from campaign.campaignfile.models import CampaignFile

_JUDGED_FROM = 50
_IN_A_ROW = 3
_DOUBTS_IN_A_ROW = 5
# At a campaign's end, this few refusals are believed whatever their share.
_FEW = 2

# Verdicts that do not count: a row that is deferred four times and then refused is one refusal in one
# result, not in five.
_UNCOUNTED = (Verdict.UNSENT, Verdict.SESSION, Verdict.THROTTLED, Verdict.DEFERRED)
_REFUSALS = (Verdict.REFUSED, Verdict.POLICY, Verdict.SENDER)


@dataclass(frozen=True, slots=True)
class Trip:
    """Why the run must pause.

    `by_refusals`: with so many refusals, the server is at fault and not the addresses, so the addresses
    that they suppressed are taken off the list again.
    """

    why: str
    by_refusals: bool = False


class Breaker:
    """Says when a run must pause, and why.

    It pauses after three refusals of the sender with no acceptance between them; three refusals in a row
    by a policy, or with 5.2.0; a used-up quota; five in doubt in a row; if the share of refusals among the
    last 200 results exceeds `most_refused` (a fraction, None for no limit), judged from 50 results on; and
    if more than `most_in_doubt` of 200 are in doubt. A restarting server leaves up to `unanswered`
    messages in doubt, so that number alone never stops a run, unless none may be in doubt. `recent` are
    the results before this run, the oldest first.
    """

    def __init__(
        self,
        most_refused: float | None,
        most_in_doubt: float | None,
        recent: Iterable[Verdict] = (),
        unanswered: int = 1,
    ) -> None:
        self._most_refused = most_refused
        self._most_in_doubt = most_in_doubt
        self._doubts_in_a_row = max(_DOUBTS_IN_A_ROW, unanswered + 1)
        self._unanswered = unanswered if most_in_doubt else 0
        self._recent = deque[Verdict](maxlen=WINDOW)
        self._counts = Counter[Verdict]()  # of those in the window
        for verdict in recent:
            if verdict not in _UNCOUNTED:
                self._add(verdict)
        # How many came in a row:
        self._sender = 0  # refusals of the sender, with no acceptance between them
        self._policy = 0
        self._generic = 0
        self._doubts = 0
        self._last_refusal = ""

    @classmethod
    def of(cls, campaign: CampaignFile, recent: Iterable[Verdict]) -> Breaker:
        """Return a breaker with the limits of a campaign's `stop_when`."""
        limits = campaign.stop_when
        return cls(limits.refused, limits.in_doubt, recent, campaign.smtp.most_unanswered)

    def note(self, verdict: Verdict, answer: Answer) -> Trip | None:
        """Count the verdict on a row's own answer; return the reason to pause, or None."""
        if verdict in _UNCOUNTED:
            return None
        reply = words(answer)
        if verdict is Verdict.QUOTA:
            return Trip(f"the server says that the quota is used up: {reply}. Send again once it is renewed.")
        self._add(verdict)
        refused = verdict in _REFUSALS
        if refused:
            self._last_refusal = reply
        code = answer.reply.enhanced if answer.reply is not None else None
        self._policy = self._policy + 1 if verdict is Verdict.POLICY else 0
        if verdict is Verdict.SENDER:
            self._sender += 1
        elif verdict is Verdict.ACCEPTED:
            self._sender = 0
        # Exchange Online says 5.2.0 for a used-up quota. Once it is a generic code; repeated it means that.
        self._generic = self._generic + 1 if refused and code == (5, 2, 0) else 0
        self._doubts = self._doubts + 1 if verdict is Verdict.IN_DOUBT else 0
        return self._in_a_row(reply) or self.judged()

    def judged(self) -> Trip | None:
        """Return the reason to pause that the window as a whole gives, or None."""
        if len(self._recent) < _JUDGED_FROM:
            return None
        refused = self._share(*_REFUSALS)
        doubts = self._counts[Verdict.IN_DOUBT]
        doubtful = doubts / WINDOW if doubts > self._unanswered else 0.0
        if self._most_refused is not None and refused > self._most_refused:
            last = f"; the last refusal said: {self._last_refusal}" if self._last_refusal else ""
            of = f"{self._count(*_REFUSALS)} of the last {len(self._recent)}"
            why = f"{of} were refused, more than `stop_when.refused` allows{last}"
            return Trip(why, by_refusals=True)
        if self._most_in_doubt is not None and doubtful > self._most_in_doubt:
            return Trip(
                f"{doubtful:.0%} of the last {WINDOW} are in doubt, more than `stop_when.in_doubt` allows"
            )
        return None

    def sound(self) -> bool:
        """Whether, at the end of a campaign, the refusals in the window can be believed."""
        if self._most_refused is None:
            return True
        return self._count(*_REFUSALS) <= _FEW or self._share(*_REFUSALS) <= self._most_refused

    def _in_a_row(self, reply: str) -> Trip | None:
        if self._generic >= _IN_A_ROW:
            return Trip(f"the server refuses one message after another, as if a quota were used up: {reply}")
        about_us = max(self._sender, self._policy)
        if about_us >= _IN_A_ROW:
            return Trip(
                f"{about_us} refusals in a row are about the sender or a policy, not a recipient: {reply}."
                " Look at `from`, `envelope_from`, SPF and DKIM, then send again."
            )
        if self._doubts >= self._doubts_in_a_row and self._most_in_doubt is not None:
            return Trip(
                f"{self._doubts} in a row are in doubt: the server takes the message and ends the connection"
                " before it answers"
            )
        return None

    def _share(self, *verdicts: Verdict) -> float:
        return self._count(*verdicts) / max(1, len(self._recent))

    def _count(self, *verdicts: Verdict) -> int:
        return sum(map(self._counts.__getitem__, verdicts))

    def _add(self, verdict: Verdict) -> None:
        if len(self._recent) == WINDOW:
            self._counts[self._recent[0]] -= 1
        self._recent.append(verdict)
        self._counts[verdict] += 1
