"""How many commits a real run needs: one per message with pipelining, two in lock-step."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from campaign.campaignfile.load import load
from campaign.ledger import Ledger
from campaign.message.tokens import Secrets
from campaign.model import Status
from campaign.preparation import prepare
from campaign.sending.account import Logins, scope_of
from campaign.sending.dispatch import Ending
from campaign.sending.sender import Sender
from tests.e2e.folder import CampaignFolder
from tests.ledger.book import sqlite
from tests.sending.heard import Heard
from tests.servers.postfix import Postfix

PEOPLE = 150
# Besides: heartbeats, and messages in lock-step at the beginning of a session.
SOME = 15


@pytest.mark.parametrize(("pipelining", "most"), [(True, 1), (False, 2)])
def test_at_most_two_commits_for_a_round_trip(
    make_postfix: Callable[..., Postfix], tmp_path: Path, pipelining: bool, most: int
) -> None:
    options = {} if pipelining else {"smtpd_discard_ehlo_keywords": "pipelining"}
    folder = CampaignFolder(tmp_path, make_postfix(**options))
    folder.people(PEOPLE)
    campaign = load(tmp_path / "campaign.yaml")
    ledger = Ledger.open(campaign.ledger, campaign.name, campaign.file)
    ledger.register()
    preparation = prepare(campaign, ledger.enrolment(), Secrets.placeholder())
    preparation.enrolment.apply(time.time_ns())
    sending = ledger.start(scope_of(campaign), time.time_ns())
    told: Counter[str] = Counter()
    sqlite(ledger)._connection.set_trace_callback(lambda statement: told.update([statement.split()[0]]))

    stop = Sender(campaign, preparation.renderer, sending, Logins(None), Heard()).send()

    assert stop.ending is Ending.DONE, stop
    assert ledger.history.summary(time.time_ns()).counts[Status.ACCEPTED] == PEOPLE
    assert PEOPLE < told["COMMIT"] <= most * PEOPLE + SOME, told
    # No unnecessary writes: two updates per message, and its attempt and event.
    assert told["UPDATE"] + told["INSERT"] <= 4 * PEOPLE + SOME, told
    sending.end(time.time_ns())
    ledger.close()
    folder.close()
