"""Another process that keeps a ledger's file locked, like a backup program or a long transaction."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCKS = """
import os, signal, sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
os.kill(os.getpid(), signal.SIGKILL)
"""


@contextmanager
def locked(path: Path, seconds: float = 600) -> Iterator[subprocess.Popen[str]]:
    """Hold the write lock until the context ends, or for this many seconds.

    The process is killed at the end: if it closed the last connection, SQLite would remove the WAL.
    """
    command = [sys.executable, "-c", _LOCKS, str(path), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "locked\n"
            yield process
        finally:
            process.kill()
