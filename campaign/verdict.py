"""Reply → verdict: what an answer means for its address, and for the run. Pure functions.

The first digit of a reply decides (RFC 5321 4.2.1), and the enhanced status code (RFC 3463) refines that.
The text of a reply decides nothing.
"""

from __future__ import annotations

from campaign.delivery import Answer, EnhancedCode, Fate, Stage, Verdict

# The address does not exist (RFC 3463 3.2, RFC 7505 4.2, and the registry of codes, RFC 5248).
DEAD = {(5, 1, 1), (5, 1, 6), (5, 1, 10)}
# The sender's address is at fault (RFC 3463 3.2).
SENDER = {(5, 1, 7), (5, 1, 8)}


def judge(answer: Answer) -> Verdict:
    """Return what one answer means. Only a 2xx to the final dot is ACCEPTED."""
    if answer.fate is Fate.UNKNOWN:
        return Verdict.IN_DOUBT
    reply = answer.reply
    if answer.fate is Fate.UNSENT or reply is None:
        return Verdict.UNSENT
    if reply.code == 421:
        return Verdict.SESSION
    if reply.positive:
        return Verdict.ACCEPTED if answer.stage is Stage.BODY else Verdict.UNSENT
    if answer.stage not in (Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.BODY):
        return Verdict.SESSION
    code = reply.enhanced
    if code is None and reply.code == 454:
        # RFC 4954 6: 454 is 4.7.0. Amazon SES sends it after the final dot, without that code, if we are
        # too fast.
        code = EnhancedCode(4, 7, 0)
    return _temporary(answer.stage, code) if reply.code < 500 else _permanent(answer.stage, code)


def _temporary(stage: Stage, code: EnhancedCode | None) -> Verdict:
    if code is None:
        return Verdict.DEFERRED if stage in (Stage.RCPT, Stage.BODY) else Verdict.THROTTLED
    if stage is Stage.RCPT:
        # Greylisting answers 4.7.x here; a full server or a general rate limit is not about this address.
        return Verdict.THROTTLED if code.subject == 3 or code[1:] == (5, 3) else Verdict.DEFERRED
    throttled = code.subject in (3, 7) or code[1:] == (5, 3)
    return Verdict.THROTTLED if throttled or stage is not Stage.BODY else Verdict.DEFERRED


def _permanent(stage: Stage, code: EnhancedCode | None) -> Verdict:
    if code == (5, 4, 5):
        return Verdict.QUOTA
    if code == (5, 3, 4):  # this message is too large for anybody (RFC 1870 6.1)
        return Verdict.REFUSED
    if stage is Stage.MAIL or code in SENDER:  # Postfix refuses a sender at RCPT
        return Verdict.SENDER
    if code is not None and code.subject == 7:
        return Verdict.POLICY
    return Verdict.REFUSED


def suppresses(answer: Answer) -> bool:
    """Whether the answer says that the address itself is dead, so that no campaign should mail it."""
    dead = answer.reply is not None and answer.reply.enhanced in DEAD
    return dead and answer.stage in (Stage.RCPT, Stage.BODY)


def words(answer: Answer) -> str:
    """Return the text of an answer for reports."""
    if answer.reply is not None:
        return answer.reply.text
    if answer.fate is Fate.UNKNOWN:
        return f"no answer to the message: {answer.why}"
    return f"{answer.stage}: {answer.why}"
