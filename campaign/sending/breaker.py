"""When a run must stop to protect the sender's reputation: the circuit breaker."""

from __future__ import annotations

from collections import deque

from campaign.model import Answer
from campaign.verdict import Verdict, words

# What says nothing of how the server likes our mail.
_INDIFFERENT = (Verdict.UNSENT, Verdict.SESSION, Verdict.THROTTLED, Verdict.IN_DOUBT)


class Breaker:
    """Says when a run must pause, and why.

    Sender or policy refusals three in a row, a quota, and more refusals than `most_refused` (a
    fraction) of the last 200 results, judged from 50 on.
    """

    RECENT, JUDGED_FROM, IN_A_ROW = 200, 50, 3

    def __init__(self, most_refused: float | None) -> None:
        self._most_refused = most_refused
        self._recent: deque[bool] = deque(maxlen=self.RECENT)
        self._sender = 0
        self._generic = 0

    def note(self, verdict: Verdict, answer: Answer) -> str | None:
        """Take note of the verdict on a row's own answer; return the reason to pause, or None."""
        if verdict in _INDIFFERENT:
            return None
        said = words(answer)
        code = answer.reply.enhanced if answer.reply is not None else None
        if verdict is Verdict.QUOTA:
            return f"the server says that the quota is used up: {said}. Send again once it is renewed."
        refused = verdict in (Verdict.REFUSED, Verdict.SENDER)
        self._recent.append(refused)
        self._sender = self._sender + 1 if verdict is Verdict.SENDER else 0
        # Exchange Online's word for a full quota; the code alone is generic, its repetition is not.
        self._generic = self._generic + 1 if refused and code == (5, 2, 0) else 0
        if self._generic >= self.IN_A_ROW:
            return f"the server refuses one message after another, as with a quota used up: {said}"
        if self._sender >= self.IN_A_ROW:
            return (
                f"{self._sender} refusals in a row are about the sender or a policy, no recipient: {said}."
                " Look at `from`, `envelope_from`, SPF and DKIM, then send again."
            )
        share = sum(self._recent) / len(self._recent)
        if (
            self._most_refused is not None
            and len(self._recent) >= self.JUDGED_FROM
            and share > self._most_refused
        ):
            return (
                f"{share:.0%} of the last {len(self._recent)} were refused, more than `stop_when.refused`"
                f" allows; the last one said: {said}"
            )
        return None
