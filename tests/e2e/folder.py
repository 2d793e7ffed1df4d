"""A campaign folder for a private server, and the command run in it."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from campaign.model import Status
from tests.folder import write_campaign
from tests.servers.exim import Exim
from tests.servers.postfix import Postfix

HEADER = "email,name"
Strings = list[str]  # within the class, `list` is a method
Rows = list[tuple[Any, ...]]


class CampaignFolder:
    """A folder with campaign.yaml, list.csv and body.txt.j2; `run` runs `campaign` in it."""

    def __init__(self, folder: Path, server: Postfix | Exim, **changes: Any) -> None:
        self.folder = folder
        self.server = server
        self.env = {**os.environ, "SMTP_PASSWORD": "secret"}
        self.hasty = False  # do not wait long for a server
        self.program = ""  # Python that stands for the command
        self._started: list[subprocess.Popen[str]] = []
        (folder / "body.txt.j2").write_text("Dear {{ name }},\n\nthis is for you.\n")
        self.write(**changes)

    def write(self, **changes: Any) -> None:
        """Write campaign.yaml; a change named smtp goes into `smtp`, and None removes a key."""
        values: dict[str, Any] = {
            "name": "test",
            "recipients": {"csv": "list.csv", "name": "{{ name }}"},
            "from": "News <news@example.com>",
            "subject": "Hello {{ name }}",
            "templates": {"text": "body.txt.j2"},
            "retry": {"attempts": 3, "first_delay": "0.2s", "max_delay": "1s"},
            "stop_when": {"refused": "100%"},
            "smtp": {"host": "localhost", "port": self.server.port, "ca_file": str(self.server.ca_file)},
        }
        values["smtp"].update(changes.pop("smtp", {}))
        values.update(changes)
        values["smtp"] = {key: value for key, value in values["smtp"].items() if value is not None}
        write_campaign(self.folder, file="campaign.yaml", **values)

    def list(self, rows: Iterable[str], header: str = HEADER) -> None:
        """Write the list."""
        (self.folder / "list.csv").write_text("\n".join([header, *rows]) + "\n", "utf-8")

    def people(self, count: int, domain: str = "example.test") -> Strings:
        """Write a list of this many people, and return their addresses."""
        addresses = [f"user{number}@{domain}" for number in range(1, count + 1)]
        self.list(f"{address},Person {number}" for number, address in enumerate(addresses, 1))
        return addresses

    def run(
        self, *arguments: str, timeout: float = 120, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `campaign` with these arguments, and wait."""
        return subprocess.run(
            [*self._command, *self._agreed(arguments)],
            cwd=self.folder,
            env={**self.env, **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `campaign` with these arguments; it is killed if the test ends before it does."""
        process = subprocess.Popen(
            [*self._command, *self._agreed(arguments)],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            stdin=subprocess.DEVNULL,
            # If the tests run in the background, SIGINT is ignored in all processes that they start.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        """Kill what still runs."""
        for process in self._started:
            process.kill()
            process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()

    def send(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run `campaign send campaign.yaml --yes`."""
        return self.run("send", "campaign.yaml", "--yes", *arguments, timeout=timeout)

    def counts(self) -> dict[str, int]:
        """Return the counts of `status --json` that are not zero."""
        status = self.run("status", "campaign.yaml", "--json")
        assert status.returncode == 0, status.stderr
        counts: dict[str, int] = json.loads(status.stdout)["counts"]
        return {name: count for name, count in counts.items() if count}

    def rows(self, query: str, *parameters: object) -> Rows:
        """Query the ledger's file; [] if there is none yet."""
        if not (self.folder / "ledger.db").exists():
            return []
        # Read-only: the last writer to close would remove the WAL of a process that was killed.
        connection = sqlite3.connect(f"file:{self.folder / 'ledger.db'}?mode=ro", uri=True)
        try:
            return connection.execute(query, parameters).fetchall()
        finally:
            connection.close()

    def addresses(self, *statuses: Status) -> set[str]:
        """Return the addresses of rows with these statuses, read from the file."""
        marks = ",".join("?" * len(statuses))
        return {
            email
            for (email,) in self.rows(f"SELECT email FROM messages WHERE status IN ({marks})", *statuses)
        }

    def reply(self, address: str) -> str:
        """Return the reply stored for an address."""
        [(reply,)] = self.rows("SELECT reply FROM messages WHERE email = ?", address)
        return str(reply)

    def suppressed(self) -> set[str]:
        """Return the suppression list."""
        return {pattern for (pattern,) in self.rows("SELECT pattern FROM suppressions")}

    def wait_for(self, status: Status, count: int = 1) -> None:
        """Wait until at least this many rows have this status."""
        until(lambda: len(self.addresses(status)) >= count)

    @contextmanager
    def held(self, process: subprocess.Popen[str]) -> Iterator[None]:
        """Suspend a run outside of any transaction, however slow this machine is."""
        while True:
            process.send_signal(signal.SIGSTOP)
            until(lambda: _stopped(process.pid))
            connection = sqlite3.connect(self.folder / "ledger.db", timeout=0, isolation_level=None)
            try:
                connection.execute("BEGIN IMMEDIATE")
                break
            except sqlite3.OperationalError:
                process.send_signal(signal.SIGCONT)
                time.sleep(0.01)
            finally:
                connection.close()
        yield
        process.send_signal(signal.SIGCONT)

    def _agreed(self, arguments: tuple[str, ...]) -> tuple[str, ...]:
        """Let `send --yes` create a ledger if none has rows yet."""
        new = not self.rows("SELECT 1 FROM messages LIMIT 1")
        return (*arguments, "--new-ledger") if new and {"send", "--yes"} <= {*arguments} else arguments

    @property
    def _command(self) -> Strings:
        if self.program:
            return [sys.executable, "-c", self.program]
        if not self.hasty:
            return [sys.executable, "-m", "campaign"]
        return [sys.executable, "-c", HASTY]


# The command, but it tries to connect only twice, and waits little between sessions.
HASTY = """
from campaign.campaignfile.models import RetryPolicy
from campaign.cli import main
from campaign.sending.network import connection, opener
connection.OPENINGS = 2
opener._REOPENING = RetryPolicy(first_delay=0.05, max_delay=0.2)
raise SystemExit(main())
"""


def _stopped(pid: int) -> bool:
    """Whether every thread of a process is stopped (proc(5): the state follows the name)."""
    threads = Path(f"/proc/{pid}/task").glob("*/stat")
    return all(stat.read_text().rpartition(")")[2].split()[0] in "TZ" for stat in threads)


def until(condition: Callable[[], object], timeout: float = 60) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a process with SIGKILL, and wait until it has ended."""
    process.send_signal(signal.SIGKILL)
    process.communicate()


Folders = Callable[..., CampaignFolder]


def mails(server: Postfix | Exim) -> Counter[str]:
    """Return how many mails were delivered to each recipient."""
    return Counter(mail.recipient for mail in server.wait_delivered())


def message_ids(server: Postfix) -> list[str]:
    """Return the Message-IDs of the delivered mails, in order."""
    found = (
        re.search(rb"^Message-ID: (<.*>)", mail.content, re.MULTILINE) for mail in server.wait_delivered()
    )
    return [match[1].decode() for match in found if match is not None]
