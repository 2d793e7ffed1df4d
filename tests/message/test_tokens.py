"""Message-IDs and bounce tokens are stable, and differ where they must."""

from __future__ import annotations

import hmac
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.message.tokens import Secrets, Tokens
from tests.message.rendering import Made, refusal, rendered, row

NAMES = st.text(st.characters(exclude_categories=["Cs"]))


@given(NAMES, NAMES)
def test_tokens_are_hmacs_that_another_program_can_compute(campaign: str, key: str) -> None:
    tokens = Tokens(campaign, Secrets(b"of the ledger", b"of the web server"))
    named = json.dumps([campaign, key], ensure_ascii=False).encode()
    assert tokens.message_mark(key) == hmac.new(b"of the ledger", named, "sha256").hexdigest()[:32]
    of_address = hmac.new(b"of the web server", key.encode(), "sha256").hexdigest()
    assert tokens.unsubscribe(key) == of_address


class TestIdentity:
    def test_the_message_id_is_the_same_in_every_run(self, made: Made) -> None:
        one, two = rendered(made()), made(subject="Other").render(row(9), date=datetime.now(UTC))
        assert one.message_id == two.message_id

    def test_another_key_campaign_or_ledger_has_another(self, made: Made) -> None:
        ids = {
            rendered(made()).message_id,
            rendered(made(), row(key="other")).message_id,
            rendered(made(name="autumn")).message_id,
            rendered(made(secrets=Secrets(b"other", b""))).message_id,
        }
        assert len(ids) == 4

    def test_it_stands_at_the_sender_s_domain(self, made: Made) -> None:
        message = rendered(made(**{"from": "news@{{ first|lower }}.KÖLN.example"}))
        assert message.message_id.endswith("@ann.xn--kln-sna.example>")

    def test_the_bounce_token_makes_verp(self, made: Made) -> None:
        renderer = made(envelope_from="bounces+{{ bounce.token }}@example.com")
        senders = [rendered(renderer, row(key=key)).envelope.sender for key in ("a", "b", "a")]
        assert senders[0] == senders[2] != senders[1]
        local = senders[0].partition("@")[0]
        assert len(local) == len("bounces+") + 20
        assert local.removeprefix("bounces+").isalnum()

    @pytest.mark.parametrize("given", ["out+{{ bounce.token }}", "{{ note }}", "a@x.test, b@x.test"])
    def test_an_envelope_from_that_is_none(self, made: Made, given: str) -> None:
        (what,) = refusal(lambda: rendered(made(envelope_from=given)))
        assert "envelope_from: " in what

    def test_the_null_path(self, made: Made) -> None:
        assert rendered(made(envelope_from="<>")).envelope.sender == ""
