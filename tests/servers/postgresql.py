"""A private PostgreSQL: Debian's, in a temporary folder, reached over a Unix socket in it.

As root it runs as nobody, since PostgreSQL refuses to run as root.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import psycopg

from campaign.campaignfile.location import PostgresLocation
from campaign.ledger import Ledger

_USER = "campaign"
_TEMPLATE = "ledger"  # a database with an empty ledger, which others are copied from
_UNPRIVILEGED = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]


class PostgreSQL:
    """A cluster. `settings` are lines of postgresql.conf."""

    def __init__(self, binaries: Path, **settings: str) -> None:
        # A socket's path has at most 107 octets: pytest's folders are too deep.
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._binaries = binaries
        self._names = count(1)
        if os.geteuid() == 0:
            shutil.chown(self.folder, "nobody", "nogroup")
        data = str(self.folder / "data")
        self._run(
            "initdb", "-D", data, "-U", _USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"
        )
        lines = {
            "listen_addresses": "''",
            "unix_socket_directories": f"'{self.folder}'",
            "max_connections": "60",
            "log_min_messages": "warning",
            **settings,
        }
        with (self.folder / "data" / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = {value}\n" for name, value in lines.items())
        self.start()
        self._sql(f"CREATE DATABASE {_TEMPLATE}")
        Ledger.open(self.location(_TEMPLATE), "").close()

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        data, log = str(self.folder / "data"), str(self.folder / "log")
        self._run("pg_ctl", "-D", data, "-l", log, "-w", "-t", "60", "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server: `immediate` is as a crash."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", mode, "-w", "stop")

    def remove(self) -> None:
        """Stop the server for good."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def location(self, name: str) -> PostgresLocation:
        """Return where a database is."""
        return PostgresLocation(url=f"postgresql:///{name}?host={self.folder}&user={_USER}")

    def ledger(self) -> PostgresLocation:
        """Make a database with an empty ledger of its own secret."""
        name = f"ledger{next(self._names)}"
        self._sql(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        location = self.location(name)
        secret = os.urandom(32).hex()
        with psycopg.connect(location.address) as connection:
            connection.execute("UPDATE campaign.settings SET value = %s WHERE name = 'secret'", (secret,))
        return location

    def empty(self, encoding: str = "UTF8") -> PostgresLocation:
        """Make a database without a ledger."""
        name = f"empty{next(self._names)}"
        self._sql(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
        return self.location(name)

    def drop(self, location: PostgresLocation) -> None:
        """Remove a database, whoever is connected to it."""
        self._sql(f"DROP DATABASE {location.url.partition('///')[2].partition('?')[0]} WITH (FORCE)")

    @property
    def pid(self) -> int:
        """The postmaster's process."""
        return int((self.folder / "data" / "postmaster.pid").read_text().split()[0])

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the postmaster."""
        os.kill(self.pid, number)

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Let the server take connections and statements, and answer none, as where its disk hangs."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        processes = [self.pid, *map(int, children)]
        for process in processes:
            with suppress(ProcessLookupError):  # a connection has ended
                os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)

    def _sql(self, statement: str) -> None:
        with psycopg.connect(self.location("postgres").address, autocommit=True) as connection:
            connection.execute(statement)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*(_UNPRIVILEGED if os.geteuid() == 0 else []), str(self._binaries / program), *arguments]
        # The server keeps what it inherits open: a pipe would never end.
        with (self.folder.parent / f"{self.folder.name}.{program}").open("w+") as said:
            try:
                subprocess.run(
                    command, check=True, stdout=said, stderr=said, cwd=self.folder, stdin=subprocess.DEVNULL
                )
            except subprocess.CalledProcessError:
                said.seek(0)
                raise AssertionError(said.read()) from None
        (self.folder.parent / f"{self.folder.name}.{program}").unlink()
