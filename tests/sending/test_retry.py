"""What a reply means, what the ledger records for it, and when the row is tried again."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.campaignfile.models import RetryPolicy
from campaign.delivery import Answer, Envelope, Message, Result, Settled, Stage, Verdict
from campaign.errors import ConnectFailed, ProtocolError
from campaign.model import SECOND, Status
from campaign.sending.retry import Standing, backoff, decide, opening_retry, opening_waits
from campaign.verdict import judge, suppresses
from tests.sending.answers import answered, unknown, unsent

NOW = 1_700_000_000_000_000_000
STAGES = (Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.BODY)

# One case per line: the stages that get the reply, the reply, the verdict.
TABLE = [
    # 2xx to the final dot
    ((Stage.BODY,), "250 2.0.0 Ok: queued as 4XyZ", Verdict.ACCEPTED),
    ((Stage.BODY,), "250", Verdict.ACCEPTED),
    ((Stage.BODY,), "252 something", Verdict.ACCEPTED),
    # 421 anywhere; 4xx before a message
    (tuple(stage for stage in Stage), "421 4.7.0 bye", Verdict.SESSION),
    ((Stage.GREETING, Stage.EHLO, Stage.STARTTLS, Stage.AUTH), "454 4.7.0 later", Verdict.SESSION),
    # 5xx about the recipient
    ((Stage.RCPT, Stage.BODY), "550 5.1.1 no such user", Verdict.REFUSED),
    ((Stage.RCPT, Stage.BODY), "550 5.1.2 no such host", Verdict.REFUSED),
    ((Stage.RCPT, Stage.BODY), "553 5.1.3 bad syntax", Verdict.REFUSED),
    ((Stage.RCPT, Stage.BODY), "551 5.1.6 moved", Verdict.REFUSED),
    ((Stage.RCPT, Stage.BODY), "556 5.1.10 null MX", Verdict.REFUSED),
    ((Stage.RCPT, Stage.BODY), "550 5.2.1 disabled", Verdict.REFUSED),
    ((Stage.RCPT, Stage.BODY), "552 5.2.2 full", Verdict.REFUSED),
    # 5xx about us
    (STAGES, "550 5.1.7 bad sender", Verdict.SENDER),
    (STAGES, "550 5.1.8 Sender address rejected", Verdict.SENDER),
    ((Stage.RCPT, Stage.DATA, Stage.BODY), "554 5.7.1 policy", Verdict.POLICY),
    ((Stage.RCPT, Stage.DATA, Stage.BODY), "550 5.7.26 unauthenticated", Verdict.POLICY),
    ((Stage.MAIL,), "554 5.7.1 policy", Verdict.SENDER),
    ((Stage.MAIL,), "550 5.1.1 even so", Verdict.SENDER),
    ((Stage.MAIL,), "501", Verdict.SENDER),
    # 5xx with another code, or none
    ((Stage.RCPT, Stage.DATA, Stage.BODY), "550", Verdict.REFUSED),
    ((Stage.RCPT, Stage.DATA, Stage.BODY), "554 5.6.0 conversion", Verdict.REFUSED),
    ((Stage.RCPT, Stage.DATA, Stage.BODY), "550 4.2.1 a class that contradicts the reply", Verdict.REFUSED),
    ((Stage.RCPT, Stage.DATA, Stage.BODY), "554 no 5.7.1 at the text's start", Verdict.REFUSED),
    # 4xx about the recipient
    ((Stage.RCPT, Stage.BODY), "450 4.2.1 busy", Verdict.DEFERRED),
    ((Stage.RCPT, Stage.BODY), "452 4.2.2 full", Verdict.DEFERRED),
    ((Stage.RCPT,), "450 4.7.1 greylisted", Verdict.DEFERRED),
    ((Stage.RCPT, Stage.BODY), "451 try again later", Verdict.DEFERRED),
    # 4xx about rate or server
    (STAGES, "452 4.3.1 insufficient storage", Verdict.THROTTLED),
    (STAGES, "452 4.5.3 too many", Verdict.THROTTLED),
    ((Stage.MAIL, Stage.DATA, Stage.BODY), "450 4.7.1 too much mail", Verdict.THROTTLED),
    ((Stage.MAIL, Stage.DATA), "450 4.2.1", Verdict.THROTTLED),
    ((Stage.MAIL, Stage.DATA), "451", Verdict.THROTTLED),
    ((Stage.DATA, Stage.BODY), "454 Throttling failure: Maximum sending rate exceeded.", Verdict.THROTTLED),
    # this message is too large
    (STAGES, "552 5.3.4 too large", Verdict.REFUSED),
    # a quota
    (STAGES, "550 5.4.5 daily sending quota exceeded", Verdict.QUOTA),
    ((Stage.BODY,), "554 5.2.0 submission quota exceeded", Verdict.REFUSED),
]
CASES = [(stage, text, verdict) for stages, text, verdict in TABLE for stage in stages]

# What each verdict becomes in the ledger, and whether it counts as an attempt.
RECORDED = {
    Verdict.ACCEPTED: (Status.ACCEPTED, True),
    Verdict.REFUSED: (Status.REFUSED, True),
    Verdict.POLICY: (Status.REFUSED, True),
    Verdict.SENDER: (Status.PENDING, False),
    Verdict.DEFERRED: (Status.DEFERRED, True),
    Verdict.THROTTLED: (Status.DEFERRED, False),
    Verdict.SESSION: (Status.PENDING, False),
    Verdict.QUOTA: (Status.PENDING, False),
    Verdict.IN_DOUBT: (Status.IN_DOUBT, False),
    Verdict.UNSENT: (Status.PENDING, False),
}


def decided(
    *answers: Answer,
    attempts: int = 0,
    spared: int = 0,
    others_accepted: bool = False,
    policy: RetryPolicy | None = None,
) -> Result:
    envelope = Envelope("news@example.com", tuple(answer.address for answer in answers))
    return decide(
        Settled(Message("k", 1, envelope, "<1@example.com>", (b"\r\n",)), answers),
        judge(answers[0]),
        Standing(attempts, spared, others_accepted),
        policy=policy or RetryPolicy(),
        now=NOW,
        random=Random(1),
    )


@pytest.mark.parametrize(("stage", "text", "verdict"), CASES, ids=[f"{s}: {t}" for s, t, _ in CASES])
def test_the_reply_table(stage: Stage, text: str, verdict: Verdict) -> None:
    answer = answered(stage, text)
    assert judge(answer) is verdict
    result = decided(answer)
    assert (result.status, result.outcomes[0].charged) == RECORDED[verdict]
    assert result.reply == text
    assert (
        result.outcomes[0].due_at > NOW
        if result.status is Status.DEFERRED
        else result.outcomes[0].due_at == NOW
    )


def test_every_verdict_is_in_the_table() -> None:
    assert {verdict for _, _, verdict in TABLE} | {Verdict.IN_DOUBT, Verdict.UNSENT} == set(Verdict)


def test_unsent_rows_stay_pending_and_unknown_ones_are_in_doubt() -> None:
    result = decided(unsent())
    assert (result.status, result.outcomes[0].charged, result.outcomes[0].due_at) == (
        Status.PENDING,
        False,
        NOW,
    )
    assert result.reply == "RCPT TO: the server closed the connection"
    result = decided(unknown())
    assert (result.status, result.outcomes[0].charged) == (Status.IN_DOUBT, False)
    assert result.reply == "no answer to the message: the server closed the connection"
    # A 2xx before the content is not an acceptance.
    assert judge(answered(Stage.RCPT, "250 Ok")) is Verdict.UNSENT


def test_a_result_has_everything_the_ledger_stores() -> None:
    result = decided(
        answered(Stage.BODY, "250 2.0.0 Ok"),
        answered(Stage.RCPT, "550 5.1.1 no", "bad@example.test"),
        answered(Stage.RCPT, "450 4.2.1 busy", "later@example.test"),
        answered(Stage.RCPT, "452 4.5.3 too many", "many@example.test"),
    )
    assert (result.key, result.status, result.reply) == ("k", Status.ACCEPTED, "250 2.0.0 Ok")
    assert [(one.address, one.status) for one in result.outcomes] == [
        ("u1@example.test", Status.ACCEPTED),
        ("bad@example.test", Status.REFUSED),
        ("later@example.test", Status.DEFERRED),
        ("many@example.test", Status.DEFERRED),
    ]
    assert result.outcomes[1].reply == "550 5.1.1 no"
    assert result.settled_at == NOW
    assert not result.suppress, "a dead copy is no reason to suppress the row's own address"


def test_only_three_codes_suppress() -> None:
    refusals = [f"550 5.{subject}.{detail} no" for subject in range(9) for detail in range(40)]
    for stage in STAGES:
        dead = [text for text in refusals if suppresses(answered(stage, text))]
        expected = ["550 5.1.1 no", "550 5.1.6 no", "550 5.1.10 no"]
        assert dead == (expected if stage in (Stage.RCPT, Stage.BODY) else [])
    assert not suppresses(answered(Stage.RCPT, "450 4.1.1 not now"))
    assert not suppresses(answered(Stage.RCPT, "550 no such user"))
    assert not suppresses(unsent())
    assert not suppresses(unknown())


def test_a_reply_to_the_dot_of_several_addresses_suppresses_none() -> None:
    own = answered(Stage.BODY, "550 5.1.1 no such user")
    assert decided(own).suppress
    assert decided(own, answered(Stage.RCPT, "550 5.2.1 no", "copy@example.test")).suppress
    assert not decided(own, answered(Stage.BODY, "550 5.1.1 no such user", "copy@example.test")).suppress
    at_rcpt = answered(Stage.RCPT, "550 5.1.1 no such user")
    assert decided(at_rcpt, answered(Stage.RCPT, "550 5.1.1 no", "copy@example.test")).suppress


def test_a_row_is_given_up_after_its_last_attempt() -> None:
    deferred = answered(Stage.RCPT, "450 4.2.1 busy")
    policy = RetryPolicy(attempts=3)
    assert [decided(deferred, attempts=n, policy=policy).status for n in range(4)] == [
        Status.DEFERRED,
        Status.DEFERRED,
        Status.REFUSED,
        Status.REFUSED,
    ]
    last = decided(deferred, attempts=2, policy=policy)
    assert last.reply == "gave up after 3 attempts: 450 4.2.1 busy"
    assert last.outcomes[0].charged
    assert not last.suppress
    throttled = answered(Stage.MAIL, "450 4.7.1 too much mail")
    assert decided(throttled, attempts=99, policy=policy).status is Status.DEFERRED


@given(
    attempt=st.integers(1, 10_000),
    first=st.floats(0.001, 1e5),
    longest=st.floats(0.001, 1e6),
    seed=st.integers(),
)
def test_backoff_doubles_with_jitter_up_to_its_maximum(
    attempt: int, first: float, longest: float, seed: int
) -> None:
    delay = backoff(attempt, RetryPolicy(first_delay=first, max_delay=longest), Random(seed)) / SECOND
    base = min(first * 2.0 ** min(attempt - 1, 900), longest)
    assert base * (1 - 1e-6) - 1e-9 <= delay <= min(base * 1.25, longest) * (1 + 1e-6)


def test_deferred_rows_are_not_due_at_the_same_time() -> None:
    random = Random(1)
    assert len({backoff(1, RetryPolicy(), random) for _ in range(100)}) == 100


def test_a_deferred_row_waits_longer_each_time() -> None:
    deferred = answered(Stage.RCPT, "450 4.2.1 busy")
    delays = [decided(deferred, attempts=n).outcomes[0].due_at - NOW for n in range(4)]
    for n, delay in enumerate(delays):
        assert 60 * 2**n * SECOND <= delay <= 75 * 2**n * SECOND


def test_opening_is_retried_with_jitter_and_a_limit() -> None:
    waits: list[float] = []
    tries: list[int] = []

    def fail() -> None:
        tries.append(1)
        raise ConnectFailed("busy")

    with pytest.raises(ConnectFailed, match="busy"):
        opening_retry(6, waits.append)(fail)
    assert len(tries) == 6
    assert len(waits) == 6 - 1
    for n, wait in enumerate(waits):
        assert 2**n <= wait <= min(2**n + 1, 30)


@pytest.mark.parametrize(
    "error", [ConnectFailed("wrong password", permanent=True), ProtocolError("what"), ValueError("a bug")]
)
def test_opening_is_not_retried_if_that_cannot_help(error: Exception) -> None:
    tries: list[int] = []

    def fail() -> None:
        tries.append(1)
        raise error

    with pytest.raises(type(error)):
        opening_retry(6, lambda seconds: pytest.fail("waited"))(fail)
    assert len(tries) == 1


class TestAgainAndAgain:
    """If something always happens to one row while others are accepted, it is that row's fault."""

    THROTTLED = answered(Stage.BODY, "452 4.3.1 insufficient storage")

    @pytest.mark.parametrize(
        ("spared", "others_accepted", "charged"),
        [(0, True, False), (1, True, False), (2, True, True), (9, False, False)],
    )
    def test_a_row_that_is_always_throttled_is_charged_in_the_end(
        self, spared: int, others_accepted: bool, charged: bool
    ) -> None:
        result = decided(self.THROTTLED, spared=spared, others_accepted=others_accepted)
        assert result.status is Status.DEFERRED
        assert (result.outcomes[0].charged, result.spared) == (charged, not charged)
        assert result.verdict is Verdict.THROTTLED  # the run slows down in any case

    def test_a_row_that_is_always_throttled_is_given_up_in_the_end(self) -> None:
        last = decided(self.THROTTLED, attempts=4, spared=2, others_accepted=True)
        assert last.status is Status.REFUSED
        assert last.reply.startswith("gave up after 5 attempts: 452 4.3.1")

    @pytest.mark.parametrize(
        ("spared", "status"), [(0, Status.PENDING), (1, Status.PENDING), (2, Status.DEFERRED)]
    )
    def test_a_row_that_ends_every_session_is_given_up_in_the_end(self, spared: int, status: Status) -> None:
        result = decided(answered(Stage.BODY, "421 4.7.0 bye"), spared=spared)
        assert (result.status, result.outcomes[0].charged) == (status, status is Status.DEFERRED)
        assert (result.outcomes[0].due_at > NOW) is (status is Status.DEFERRED)

    def test_a_sender_that_is_refused_leaves_the_row_as_it_was(self) -> None:
        result = decided(answered(Stage.MAIL, "550 5.7.1 not you"))
        assert (result.status, result.outcomes[0].charged, result.outcomes[0].due_at) == (
            Status.PENDING,
            False,
            NOW,
        )

    def test_a_sender_refused_for_one_row_only_is_that_row_s_fault(self) -> None:
        result = decided(answered(Stage.MAIL, "550 5.7.1 not you"), others_accepted=True)
        assert (result.status, result.outcomes[0].charged) == (Status.DEFERRED, True)
        assert result.outcomes[0].due_at > NOW

    def test_throttling_before_rcpt_says_nothing_about_the_row(self) -> None:
        result = decided(answered(Stage.MAIL, "450 4.7.1 too much mail"), spared=9, others_accepted=True)
        assert (result.outcomes[0].charged, result.spared) == (False, True)


def test_a_copy_is_given_up_after_its_last_attempt() -> None:
    accepted, full = answered(Stage.BODY, "250 Ok"), answered(Stage.RCPT, "450 4.2.2 full", "b@example.test")
    deferred, refused = (decided(accepted, full, attempts=attempts).outcomes[1] for attempts in (3, 4))
    assert deferred.status is Status.DEFERRED
    assert (refused.status, refused.reply) == (Status.REFUSED, "gave up after 5 attempts: 450 4.2.2 full")


def test_the_waits_between_attempts_at_opening() -> None:
    assert opening_waits(4, 6) == 9 + 17  # seconds, jitter included
    assert opening_waits(5, 7) == 17 + 30  # no wait is longer
    assert opening_waits(6, 6) == 0
