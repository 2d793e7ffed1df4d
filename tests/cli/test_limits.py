"""Limits of the user, a container or a service: a sentence names the one that is reached; no traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.folder import write_campaign

WITHOUT_FILES = """
held = []
try:
    while True:
        held.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    for file in held[-2:]:
        os.close(file)
"""
WITHOUT_THREADS = """
threading.stack_size(1 << 30)
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * 4096 + (1 << 29),) * 2)
"""
PROGRAM = """
import os, resource, sys, threading
from campaign.cli import main
resource.setrlimit(resource.RLIMIT_NOFILE, (99, 99))
from campaign.cli.commands import check, rehearse
import campaign.message.drafting, campaign.sending.preflight.inspection, campaign.rehearsal
{limit}
raise SystemExit(main())
"""


@pytest.mark.parametrize(
    ("limit", "command", "what"),
    [
        (WITHOUT_FILES, "check", "open no more files (`ulimit -n`)"),
        (WITHOUT_THREADS, "rehearse", "start no more processes and threads (`ulimit -u`,"),
    ],
)
def test_a_limit_that_is_reached_is_named(tmp_path: Path, limit: str, command: str, what: str) -> None:
    write_campaign(tmp_path)
    program = PROGRAM.format(limit=limit)
    done = subprocess.run(
        [sys.executable, "-c", program, command, "spring.yaml"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2, done.stderr
    assert f"error: this machine lets the program {what}" in done.stderr
    assert "Traceback" not in done.stderr
