"""A signal ends a command with its exit code, wherever it strikes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

_STRUCK = """
import os, signal, sys
from campaign.cli.signals import end_by_signals
end_by_signals()
try:
    exec("os.kill(os.getpid(), signal.{name})\\nfor _ in range(100_000): pass")
except KeyboardInterrupt:
    sys.exit(5)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_in_executed_source_keeps_the_exit_code(tmp_path: Path, name: str) -> None:
    (tmp_path / "struck.py").write_text(_STRUCK.format(name=name))
    done = subprocess.run(
        [sys.executable, "-m", "struck"],
        cwd=tmp_path,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        check=False,
    )
    assert done.returncode == 5
