"""A signal ends a command with its exit code, wherever it strikes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
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


_AGAIN_AT_ONCE = """
import os, signal, sys, time
from campaign.cli import signals
signals._AGAIN = 1e-5  # seconds, as where the main thread gets no processor for a while
signals.end_by_signals()
class Closing:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(10_000): pass
for _ in range(200):
    try:
        Closing()
        time.sleep(20)
    except KeyboardInterrupt:
        continue
    sys.exit(1)
sys.exit(5)
"""


def test_a_signal_in_a_destructor_is_heard_however_late_the_main_thread_is(tmp_path: Path) -> None:
    (tmp_path / "struck.py").write_text(_AGAIN_AT_ONCE)
    done = subprocess.run(
        [sys.executable, "-m", "struck"], cwd=tmp_path, check=False, capture_output=True, timeout=50
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


# What `campaign guide` imports: click before there is a command, difflib within it.
_WHILE_LOADING = """
import os, signal, sys
sys.addaudithook(lambda what, of: what == "import" and of[0] == "click" and os.kill(os.getpid(), {number}))
"""
_WHILE_PYTHON_ENDS = """
import os
class Last:
    def __del__(self, kill=os.kill, pid=os.getpid()):
        kill(pid, {number})
last = Last()
"""
# As where an import is broken off, or SQLite drops what a function raises that it has called.
_WITH_ANOTHER_ERROR = """
import os, sys
def struck(what, of):
    if what == "import" and of[0] == "difflib":
        try:
            os.kill(os.getpid(), {number})
            for _ in range(100_000): pass
        except KeyboardInterrupt:
            pass
        raise RuntimeError("it failed")
sys.addaudithook(struck)
"""
_WHILE_IT_IS_TOLD = """
import io, os, sys
sys.addaudithook(
    lambda what, of: what == "import" and of[0] == "difflib" and os.kill(os.getpid(), {number})
)
class Struck(io.StringIO):
    def write(self, words):
        os.kill(os.getpid(), {number})
sys.stderr = Struck()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    ("struck", "code", "said"),
    [
        (_WHILE_LOADING, 130, b"interrupted\n"),
        (_WITH_ANOTHER_ERROR, 130, b"interrupted\n"),
        (_WHILE_IT_IS_TOLD, 130, b""),
        (_WHILE_PYTHON_ENDS, 0, b""),
    ],
    ids=["while it is loaded", "with another error", "while the first is told of", "while Python ends"],
)
def test_a_command_ends_with_an_exit_code(
    tmp_path: Path, number: signal.Signals, struck: str, code: int, said: bytes
) -> None:
    (tmp_path / "sitecustomize.py").write_text(struck.format(number=int(number)))
    done = subprocess.run(
        [sys.executable, "-m", "campaign", "guide"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, said)


_WHILE_IT_WRITES = """
import os, signal, sys, threading, time
from campaign.cli.signals import end_by_signals, interruptible
class Run:
    def interrupt(self, *, at_once=False):
        print("interrupted", flush=True)
def read():
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.3)
    while os.read(ours, 65536): pass
end_by_signals()
ours, theirs = os.pipe()
os.dup2(theirs, 2)
threading.Thread(target=read, daemon=True).start()
with interruptible(Run()):
    print("x" * 500_000, file=sys.stderr, flush=True)
print("written")
"""


def test_a_run_is_interrupted_while_it_waits_for_a_slow_terminal(tmp_path: Path) -> None:
    """Python refuses to write to a stream from a handler that came while the same thread was writing."""
    (tmp_path / "pressed.py").write_text(_WHILE_IT_WRITES)
    done = subprocess.run(
        [sys.executable, "-m", "pressed"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "interrupted\nwritten\n"


def test_two_signals_end_a_command_whose_words_nobody_takes(tmp_path: Path) -> None:
    """As a pager that waits for a key: `campaign guide 2>&1 | less`."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    with suppress(BlockingIOError):
        while True:
            os.write(theirs, bytes(4096))
    os.set_blocking(theirs, True)
    process = subprocess.Popen(
        [sys.executable, "-m", "campaign", "check", "none.yaml"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        stdout=theirs,
        stderr=theirs,
    )
    for _ in range(20):  # at least two reach it while it waits
        time.sleep(0.5)
        if process.poll() is not None:
            break
        process.terminate()
    process.kill()
    process.wait()
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 130
