"""Real servers all the way round: what bounces at one Postfix comes back by another's alias.

    campaign send → a Postfix that relays → a Postfix that refuses some
                         ↓ bounces
    bounces+TOKEN@bounces.test: an alias that runs `campaign bounces FILE -`, and a Maildir

The alias runs as nobody, who may not read the ledger: its command hands the mail to this test, which
runs ours, and ends with the exit code that ours gives.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from campaign.model import Status
from tests.e2e.folder import CampaignFolder, until
from tests.servers.postfix import Postfix

Make = Callable[..., Postfix]

REFUSED = {
    "gone@remote.test": "550 5.1.1 no such user",
    "full@remote.test": "552 5.2.2 the mailbox is full",
    "policy@remote.test": "550 5.7.1 blocked by policy",
}
SERVICES = """\
smtp unix - - n - - smtp
local unix - n n - - local
"""
ALIAS = """
name={D}/alias/$$
umask 0
cat > "$name.reading" && mv "$name.reading" "$name.in"
while [ ! -f "$name.out" ]; do sleep 0.05; done
code=$(cat "$name.out")
rm "$name.out"
exit "$code"
"""


class Alias:
    """Runs our command for each mail that the alias gets, until `close`. `codes` are its exit codes."""

    def __init__(self, server: Postfix) -> None:
        self.spool = server.folder / "alias"
        self.folder: Path | None = None
        self.codes: list[int] = []
        self.serving = threading.Event()
        self.serving.set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._over.wait(0.05):
            for mail in self.spool.glob("*.in") if self.serving.is_set() else ():
                command = [sys.executable, "-m", "campaign", "bounces", "campaign.yaml", "-"]
                with mail.open("rb") as stdin:
                    done = subprocess.run(command, cwd=self.folder, stdin=stdin, capture_output=True)
                mail.unlink()
                self.codes.append(done.returncode)
                answer = mail.with_suffix(".answer")
                answer.write_text(str(done.returncode))
                answer.chmod(0o666)
                answer.rename(mail.with_suffix(".out"))

    def close(self) -> None:
        self._over.set()
        self._thread.join()


@pytest.fixture(scope="module")
def behind(make_postfix: Make) -> Postfix:
    """The recipients' server."""
    return make_postfix(recipient_faults=REFUSED)


@pytest.fixture(scope="module")
def relay(make_postfix: Make, behind: Postfix) -> Postfix:
    """Our own server, which takes everything and finds out later."""
    server = make_postfix(
        services=SERVICES,
        recipient_faults={},
        mydestination="bounces.test",
        recipient_delimiter="+",
        virtual_mailbox_domains="",
        default_transport=f"smtp:[127.0.0.1]:{behind.port}",
        smtp_tls_security_level="may",
        alias_maps="texthash:$queue_directory/../etc/aliases",
        queue_run_delay="1s",
        minimal_backoff_time="1s",
        maximal_backoff_time="1s",
        default_privs="nobody",
    )
    spool = server.folder / "alias"
    spool.mkdir()
    spool.chmod(0o777)
    script = server.folder / "etc" / "alias.sh"
    script.write_text(ALIAS.replace("{D}", str(server.folder)))
    target = f'"|/bin/sh {script}", {server.folder}/mail/returned/'
    (server.folder / "etc" / "aliases").write_text(f"bounces {target}\n")
    server.reload()
    return server


@pytest.fixture
def alias(relay: Postfix) -> Iterator[Alias]:
    alias = Alias(relay)
    yield alias
    alias.close()


def campaign(make: Callable[..., CampaignFolder], relay: Postfix, **changes: object) -> CampaignFolder:
    folder = make(relay, envelope_from="bounces+{{ bounce.token }}@bounces.test", **changes)
    folder.list(f"{name}@remote.test,{name}" for name in ("ann", "gone", "full", "policy"))
    return folder


def kinds(folder: CampaignFolder) -> set[tuple[str, str]]:
    return set(folder.rows("SELECT address, kind FROM events WHERE source IS NOT NULL"))


WHAT_CAME_BACK = {
    ("gone@remote.test", "bounced"),
    ("full@remote.test", "bounced_for_now"),
    ("policy@remote.test", "blocked"),
}


def test_send_bounce_read_and_the_next_campaign_leaves_it_out(
    campaign_for: Callable[..., CampaignFolder], relay: Postfix, behind: Postfix, alias: Alias
) -> None:
    folder = campaign(campaign_for, relay, name="spring")
    alias.folder = folder.folder
    behind.empty()
    done = folder.send("--new-ledger")
    assert done.returncode == 0, done.stderr
    until(lambda: len(alias.codes) == 3)
    assert kinds(folder) == WHAT_CAME_BACK
    assert alias.codes == [0, 0, 0]
    assert folder.suppressed() == {"gone@remote.test"}
    assert folder.addresses(Status.ACCEPTED) >= {"gone@remote.test"}  # the relay did take it
    behind.wait_delivered(1)

    # The same reports once more, from the Maildir: they are known.
    relay.log()  # makes what was delivered readable
    said = folder.run("bounces", "campaign.yaml", "--maildir", str(relay.folder / "mail" / "returned"))
    assert said.returncode == 0, said.stderr
    assert "3 mails read\n  3 recorded earlier\n" in said.stdout

    folder.write(name="autumn", envelope_from="bounces+{{ bounce.token }}@bounces.test")
    behind.empty()
    alias.codes.clear()
    done = folder.send("--accept", "name")
    assert done.returncode == 0, done.stderr
    assert "1 suppressed" in done.stdout
    assert folder.rows(
        "SELECT m.status FROM messages m JOIN campaigns c ON c.id = m.campaign"
        " WHERE c.name = 'autumn' AND m.email = 'gone@remote.test'"
    ) == [("suppressed",)]
    until(lambda: len(alias.codes) == 2)
    [arrived] = behind.wait_delivered(1)
    assert arrived.recipient == "ann@remote.test"
    status = folder.run("status", "campaign.yaml").stdout
    assert "came back: 1 bounced for now, 1 refused because of us" in status


def test_a_dead_copy_alone_is_suppressed(
    campaign_for: Callable[..., CampaignFolder], relay: Postfix, alias: Alias
) -> None:
    folder = campaign(campaign_for, relay, cc=["gone@remote.test"], bcc=["full@remote.test"])
    folder.list(["ann@remote.test,Ann"])
    alias.folder = folder.folder
    assert folder.send("--new-ledger").returncode == 0
    until(lambda: len(alias.codes) == 1)  # one report tells of both
    assert kinds(folder) == {("gone@remote.test", "bounced"), ("full@remote.test", "bounced_for_now")}
    assert folder.suppressed() == {"gone@remote.test"}


def test_what_cannot_be_recorded_the_server_keeps_and_brings_again(
    campaign_for: Callable[..., CampaignFolder], relay: Postfix, alias: Alias
) -> None:
    folder = campaign(campaign_for, relay)
    folder.list(["gone@remote.test,Gone"])
    alias.folder = folder.folder
    alias.serving.clear()
    assert folder.send("--new-ledger").returncode == 0
    until(lambda: list(alias.spool.glob("*.in")))
    file = folder.folder / "campaign.yaml"
    right = file.read_text()
    file.write_text(right.replace("name: test", "nmae: test"))
    alias.serving.set()
    until(lambda: 75 in alias.codes)
    assert folder.suppressed() == set()
    file.write_text(right)
    for _ in range(9):  # when the server tries again is its own affair
        with suppress(AssertionError):
            until(lambda: 0 in alias.codes, timeout=20)
            break
        relay.reload()  # whose queue manager then looks through its queue
    assert 0 in alias.codes, f"{alias.codes} {relay.log()[-5000:]}"
    assert folder.suppressed() == {"gone@remote.test"}
    assert "status=deferred (temporary failure" in relay.log()
