"""A private PgBouncer on loopback, before a private PostgreSQL."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from campaign.campaignfile.location import PostgresLocation
from tests.need import need

_INI = """
[databases]
* = host={host} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
"""


@contextmanager
def pooled(location: PostgresLocation, mode: str, size: int, folder: Path) -> Iterator[PostgresLocation]:
    """Start one with a pool of so many connections; give the address of the database behind it."""
    program = need("pgbouncer")
    found = conninfo_to_dict(location.address)
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ini = folder / "pgbouncer.ini"
    ini.write_text(_INI.format(host=found["host"], user=found["user"], port=port, mode=mode, size=size))
    as_nobody = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = subprocess.Popen(
        [program, *as_nobody, ini], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder
    )
    try:
        deadline = time.monotonic() + 60
        while not _answers(port):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield PostgresLocation(url=f"postgresql://{found['user']}@127.0.0.1:{port}/{found['dbname']}")
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port))):
        return True
    return False
