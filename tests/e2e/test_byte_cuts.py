"""A session of three messages, cut at every octet in both directions; the ledger must match the mailbox.

After each cut the sender goes on with a new session. Then an accepted row has arrived exactly once, and one
in doubt at most once; nothing is lost, and nobody gets two.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign.campaignfile.load import load
from campaign.campaignfile.models import CampaignFile
from campaign.ledger import Ledger
from campaign.message.render import Renderer
from campaign.message.tokens import Secrets
from campaign.model import Recipient, Status
from campaign.sending.account import Logins, scope_of
from campaign.sending.dispatch import Ending
from campaign.sending.network.connection import Connection
from campaign.sending.sender import Sender
from tests.e2e.folder import CampaignFolder
from tests.sending.heard import Heard
from tests.servers.postfix import Postfix
from tests.servers.proxy import Proxy

MESSAGES = 3
COLUMNS = ("email", "name")


@pytest.fixture(params=["plain", "starttls", "window"])
def campaign(request: pytest.FixtureRequest, postfix: Postfix, tmp_path: Path) -> CampaignFile:
    folder = CampaignFolder(tmp_path, postfix)
    folder.people(1)
    if request.param == "plain":
        folder.write(smtp={"host": "127.0.0.1", "security": "none", "ca_file": None})
    elif request.param == "window":
        folder.write(smtp={"window": 8})
    return load(tmp_path / "campaign.yaml")


def through(campaign: CampaignFile, port: int) -> CampaignFile:
    """Return the campaign, with its server behind a proxy."""
    return campaign.model_copy(update={"smtp": campaign.smtp.model_copy(update={"port": port})})


def run(campaign: CampaignFile, label: str) -> tuple[Ending, dict[str, Status]]:
    """Send three messages to addresses with `label`; return how it ended, and each row's status."""
    ledger = Ledger.temporary(campaign.name)
    try:
        enrolment = ledger.enrolment()
        addresses = [f"{label}-{number}@example.test" for number in range(MESSAGES)]
        enrolment.stage(
            COLUMNS,
            (
                Recipient(n, n + 1, address, address, "Anna", {"email": address, "name": "Anna"})
                for n, address in enumerate(addresses, 1)
            ),
        )
        enrolment.apply(time.time_ns())
        sending = ledger.start(scope_of(campaign), time.time_ns())
        renderer = Renderer(campaign, COLUMNS, Secrets.placeholder())
        stop = Sender(campaign, renderer, sending, Logins(None), Heard()).send()
        return stop.ending, {entry.email: entry.status for entry in ledger.history.entries(time.time_ns())}
    finally:
        ledger.close()


def lengths(campaign: CampaignFile, server: Postfix) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the octets of a whole session, and of its opening, sent and received."""
    with Proxy(server.port) as proxy:
        connection = Connection.open(through(campaign, proxy.port).smtp, None, window=campaign.smtp.window)
        opening = (proxy.traffic[0].upstream, proxy.traffic[0].downstream)
        connection.quit()
        assert run(through(campaign, proxy.port), "whole")[0] is Ending.DONE
        return (proxy.traffic[1].upstream, proxy.traffic[1].downstream), opening


def positions(whole: int, opening: int, opening_step: int, step: int) -> Iterator[int]:
    """Yield where to cut. The opening is cut at fewer places, because a failure there costs seconds."""
    yield from range(0, opening, opening_step)
    yield from range(opening, whole + 1, step)


def cut_everywhere(campaign: CampaignFile, server: Postfix, opening_step: int, step: int) -> None:
    (up, down), (opening_up, opening_down) = lengths(campaign, server)
    plans = [("up", at) for at in positions(up, opening_up, opening_step, step)]
    plans += [("down", at) for at in positions(down, opening_down, opening_step, step)]
    known: dict[str, Status] = {}
    for way, at in plans:
        with Proxy(server.port, **{f"cut_{way}stream": at}, cuts=1, reset=at % 2 == 1) as proxy:
            ending, statuses = run(through(campaign, proxy.port), f"{way}{at}")
        assert ending is Ending.DONE, (way, at)
        assert len(statuses) == MESSAGES
        assert set(statuses.values()) <= {Status.ACCEPTED, Status.IN_DOUBT}, (way, at, statuses)
        assert Counter(statuses.values())[Status.IN_DOUBT] <= campaign.smtp.window, (way, at, statuses)
        known.update(statuses)
    delivered = Counter(mail.recipient for mail in server.wait_delivered(timeout=120))
    for address, status in known.items():
        if status is Status.ACCEPTED:
            assert delivered[address] == 1, (address, delivered[address])
        else:
            assert delivered[address] <= 1, (address, delivered[address])
    doubtful = [address for address, status in known.items() if status is Status.IN_DOUBT]
    # Some cuts fall between the dot and its reply: a test that never sees doubt would prove nothing.
    assert doubtful
    assert any(delivered[address] == 1 for address in doubtful)


def test_cuts_at_some_bytes(campaign: CampaignFile, postfix: Postfix) -> None:
    cut_everywhere(campaign, postfix, opening_step=1500, step=47)


@pytest.mark.long
def test_cuts_at_every_byte(campaign: CampaignFile, postfix: Postfix) -> None:
    cut_everywhere(campaign, postfix, opening_step=7, step=1)
