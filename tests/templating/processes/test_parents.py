"""Workers serve any parent, and none outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.markdown import ROOT

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork server here")

BEGIN = """
import os, signal, sys, threading, time
from campaign.templating.processes.pool import Pool
from tests.templating.processes.tasks import Deeds
"""
PIDS = """
pids = [pool.ask((what, 0)).head for what in ("pid", "parent")]
print(*pids, flush=True)
"""


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], subprocess.Popen[str]]:
    def start(source: str) -> subprocess.Popen[str]:
        file = tmp_path / "program.py"
        file.write_text(BEGIN + source)
        return subprocess.Popen(
            [sys.executable, str(file)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def is_there(pid: int) -> bool:
    """Whether a process runs, and is no mere entry for its parent to read."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for_end(pids: list[int]) -> None:
    until = time.monotonic() + 60
    while any(map(is_there, pids)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not [pid for pid in pids if is_there(pid)]


def pids_of(process: subprocess.Popen[str]) -> list[int]:
    assert process.stdout is not None
    return [int(pid) for pid in process.stdout.readline().split()]


@pytest.mark.parametrize("deed", ["hang", "echo"])
def test_a_killed_parent_leaves_none(program: Callable[[str], subprocess.Popen[str]], deed: str) -> None:
    source = "pool = Pool(Deeds())" + PIDS + f"pool.ask(('{deed}', 1))\ntime.sleep(60)"
    with program(source) as process:
        pids = pids_of(process)
        assert len(pids) == 2
        assert all(map(is_there, pids))
        process.kill()
    wait_for_end(pids)


def test_a_worker_outlives_neither_parent_nor_fork_server(
    program: Callable[[str], subprocess.Popen[str]],
) -> None:
    with program("pool = Pool(Deeds())" + PIDS + "time.sleep(60)") as process:
        worker, server = pids_of(process)
        os.kill(server, signal.SIGKILL)
        process.kill()
    wait_for_end([worker, server])


@pytest.mark.parametrize("delay", [0.0, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0])
def test_ctrl_c_at_any_moment(program: Callable[[str], subprocess.Popen[str]], delay: float) -> None:
    source = (
        "print('begun', flush=True)\n"
        "pool = Pool(Deeds(), 2)\n"
        "list(pool.each((n, ('echo', n)) for n in range(1000)))\n"
        "pool.ask(('hang', 0))"
    )
    with program(source) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGINT
        assert said.rstrip().endswith("KeyboardInterrupt")


def test_in_a_daemonic_child_from_a_thread(program: Callable[[str], subprocess.Popen[str]]) -> None:
    source = """
import multiprocessing

def work():
    thread = threading.Thread(target=lambda: print(Pool(Deeds("there"), 2).head, flush=True))
    thread.start()
    thread.join()

child = multiprocessing.get_context("fork").Process(target=work, daemon=True)
child.start()
child.join()
"""
    with program(source) as process:
        assert process.communicate(timeout=60) == ("open there\n", "")


def test_a_fork_of_the_parent_has_its_own(program: Callable[[str], subprocess.Popen[str]]) -> None:
    source = """
pool = Pool(Deeds())
here = pool.ask(("pid", 0)).head
if (child := os.fork()) == 0:
    print(pool.ask(("pid", 0)).head != here, pool.ask(("echo", "child")).head, flush=True)
    sys.exit()
os.waitpid(child, 0)
print(pool.ask(("pid", 0)).head == here, pool.ask(("echo", "parent")).head)
"""
    with program(source) as process:
        assert process.communicate(timeout=60) == ("True child\nTrue parent\n", "")


def test_in_a_program_that_ignores_its_children(program: Callable[[str], subprocess.Popen[str]]) -> None:
    source = """
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
pool = Pool(Deeds())
try:
    pool.ask(("signal", 9))
except Exception as error:
    print(error)
print(pool.ask(("echo", "on")).head)
"""
    with program(source) as process:
        said, wrong = process.communicate(timeout=60)
        assert (said.splitlines()[-1], wrong) == ("on", "")
        assert "has ended twice (SIGKILL)" in said


def test_the_end_of_the_program_ends_them(program: Callable[[str], subprocess.Popen[str]]) -> None:
    with program("pool = Pool(Deeds())" + PIDS) as process:
        pids = pids_of(process)
        _, said = process.communicate(timeout=60)
        assert (process.returncode, said) == (0, "")
    wait_for_end(pids)
