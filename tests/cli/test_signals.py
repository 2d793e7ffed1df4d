"""A signal ends a command with its exit code, wherever it strikes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

_IN_A_DESTRUCTOR = """
import os, signal, sys, time
from campaign.cli.signals import end_by_signals
end_by_signals()
class Closing:
    def __del__(self):
        os.kill(os.getpid(), signal.{name})
        for _ in range(100_000): pass
try:
    Closing()
    time.sleep(20)
except KeyboardInterrupt:
    sys.exit(5)
"""

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
@pytest.mark.parametrize("struck", [_STRUCK, _IN_A_DESTRUCTOR], ids=["executed source", "a destructor"])
def test_a_signal_keeps_the_exit_code_wherever_it_strikes(tmp_path: Path, name: str, struck: str) -> None:
    (tmp_path / "struck.py").write_text(struck.format(name=name))
    done = subprocess.run(
        [sys.executable, "-m", "struck"],
        cwd=tmp_path,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        check=False,
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (5, b"")


_PRESSED = """
import os, signal, sys
from campaign.cli.signals import Interrupted, end_by_signals, interruptible
class Run:
    asked = []
    def interrupt(self, *, at_once=False):
        self.asked.append(at_once)
end_by_signals()
with interruptible(Run()):
    os.kill(os.getpid(), signal.SIGINT)
os.kill(os.getpid(), signal.SIGINT)
print("the counts", Run.asked, flush=True)
try:
    os.kill(os.getpid(), signal.SIGINT)
except Interrupted:
    print("ended")
"""


def test_a_second_signal_just_behind_a_run_does_not_keep_the_counts_back(tmp_path: Path) -> None:
    (tmp_path / "pressed.py").write_text(_PRESSED)
    done = subprocess.run(
        [sys.executable, "-m", "pressed"],
        cwd=tmp_path,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "the counts [False]\nended\n"
