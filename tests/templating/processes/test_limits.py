"""The kernel's limits on one row, in a process that makes many."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

pytest.importorskip("resource")

# Each row uses less than it may; the exact clock and the kernel's ticks drift apart, here at once.
ROWS = """
import time
from campaign.templating.processes import limits
limits.SECONDS = 1
limits.grant_time()
exact = time.process_time
begun = exact()
time.process_time = lambda: begun
for row in range(int({rows})):
    limits.grant_time()
    until = exact() + {each}
    while exact() < until:
        pass
print("made")
"""


def made(rows: int, each: float) -> tuple[int, str]:
    command = [sys.executable, "-c", ROWS.format(rows=rows, each=each)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_honest_rows_pass_whatever_clocks_say() -> None:
    assert made(6, 0.5) == (0, "made\n")


def test_a_row_that_takes_too_long_is_ended() -> None:
    assert made(1, 4) == (-signal.SIGXCPU, "")
