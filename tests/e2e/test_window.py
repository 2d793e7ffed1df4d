"""Messages in a window (`smtp.window`): everybody gets one, and at most a window of them is in doubt."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable

import pytest

from campaign.model import SECOND, Status
from campaign.sending.account import TARDY
from tests.e2e.folder import Folders, mails
from tests.e2e.test_kill_harness import Harness
from tests.servers.exim import Exim
from tests.servers.postfix import Postfix


@pytest.fixture(params=["postfix", "exim"])
def server(request: pytest.FixtureRequest) -> Postfix | Exim:
    """A real server with CHUNKING."""
    found: Postfix | Exim = request.getfixturevalue(request.param)
    return found


def test_everybody_gets_one_message(server: Postfix | Exim, campaign_for: Folders) -> None:
    folder = campaign_for(server, smtp={"window": 8})
    everybody = folder.people(150)
    sent = folder.send()
    assert sent.returncode == 0, sent.stderr
    assert "smtp.window is not used" not in sent.stderr
    assert folder.counts() == {"accepted": 150}
    assert mails(server) == dict.fromkeys(everybody, 1)
    assert server.log().count("bdat") if isinstance(server, Postfix) else True


def test_refusals_are_recorded_for_the_right_rows(server: Postfix | Exim, campaign_for: Folders) -> None:
    folder = campaign_for(server, smtp={"window": 8})
    rows = [f"user{n}@example.test,Person {n}" for n in range(1, 61)]
    rows[10:10] = ["bad@example.test,Nobody"]
    rows[40:40] = ["defer@example.test,Later"]
    folder.list(rows)
    sent = folder.send()
    assert sent.returncode == 3, sent.stderr
    assert folder.counts() == {"accepted": 60, "refused": 2}
    assert folder.addresses(Status.REFUSED) == {"bad@example.test", "defer@example.test"}
    assert "550" in folder.reply("bad@example.test")
    assert mails(server) == dict.fromkeys((f"user{n}@example.test" for n in range(1, 61)), 1)


def killed(postfix: Postfix, campaign_for: Folders, people: int, kills: int, connections: int) -> str:
    smtp = {"window": 6, "messages_per_session": 40, "connections": connections}
    harness = Harness(campaign_for(postfix, smtp=smtp), people, kills, random.randrange(10**6))
    harness.end_runs(signal.SIGKILL)
    assert harness.most_in_doubt() <= 6 * connections
    return harness.hold_against(postfix)


def test_killed_some_times(postfix: Postfix, campaign_for: Folders) -> None:
    killed(postfix, campaign_for, 150, 8, 2)


@pytest.mark.long
@pytest.mark.parametrize("connections", [1, 4])
def test_killed_a_hundred_times(
    postfix: Postfix, campaign_for: Folders, connections: int, record_property: Callable[[str, object], None]
) -> None:
    record_property("result", killed(postfix, campaign_for, 2000, 100, connections))


def test_after_an_interrupt_nothing_is_in_doubt(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix, smtp={"window": 8, "messages_per_session": 40})
    harness = Harness(folder, 100, 5, random.randrange(10**6))
    harness.end_runs(signal.SIGTERM, signal.SIGINT)
    assert folder.rows("SELECT * FROM events WHERE kind = 'in_doubt'") == []
    assert folder.rows("SELECT * FROM messages WHERE status IN ('in_flight', 'in_doubt')") == []
    harness.hold_against(postfix)


def test_a_server_without_chunking_gets_one_at_a_time(
    make_postfix: Callable[..., Postfix], campaign_for: Folders
) -> None:
    postfix = make_postfix(smtpd_discard_ehlo_keywords="chunking")
    folder = campaign_for(postfix, smtp={"window": 8})
    everybody = folder.people(10)
    sent = folder.send()
    assert sent.returncode == 0
    assert sent.stderr.count("smtp.window is not used: the server does not offer CHUNKING") == 1
    assert mails(postfix) == dict.fromkeys(everybody, 1)


def test_a_rate_holds_in_a_window(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix, smtp={"window": 8}, rate="20/second")
    everybody = folder.people(50)
    assert folder.send().returncode == 0
    assert mails(postfix) == dict.fromkeys(everybody, 1)
    starts = sorted(at for (at,) in folder.rows("SELECT started_at FROM attempts"))
    assert len(starts) == 50
    assert all(later - earlier >= SECOND - TARDY for earlier, later in zip(starts, starts[20:], strict=False))


def test_messages_with_copies_or_command_like_lines_are_sent_alone(
    postfix: Postfix, campaign_for: Folders
) -> None:
    folder = campaign_for(postfix, smtp={"window": 8}, cc="{{ copy }}", headers={"Data": "{{ odd }}"})
    people = [f"user{n}@example.test" for n in range(1, 41)]
    copies = [f"copy{n}@example.test" if n % 5 == 0 else "" for n in range(1, 41)]
    odd = [n % 7 or "" for n in range(1, 41)]
    rows = zip(people, copies, odd, strict=True)
    folder.list((f"{person},P,{copy},{header}" for person, copy, header in rows), "email,name,copy,odd")
    sent = folder.send()
    assert sent.returncode == 0, sent.stderr
    assert mails(postfix) == dict.fromkeys([*people, *filter(None, copies)], 1)
