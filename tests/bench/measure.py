"""A command as a user runs it: how long it took, and what it and all its children cost.

`run` starts the command below a small process of its own (this file as a program), which adopts
whatever the command leaves behind and waits for all of it, so that no child's processor time is lost
and none outlives its run. Linux only.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # prctl(2)
_SAMPLE_EVERY = 0.1  # seconds
LINGERING = 5  # seconds for which a child may outlive its command


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds, of the wall clock and of processors; `peak` is memory in octets, 0 if it was not sampled.

    Memory is the highest sum of the proportional set sizes of all processes, looked at ten times a
    second: what they share counts once.
    """

    wall: float
    processor: float
    peak: int = 0
    output: str = ""


class CommandFailed(AssertionError):
    """A command ended otherwise than it was expected to, or left a process behind."""


def run(
    command: Sequence[str | Path],
    folder: Path,
    *,
    env: Mapping[str, str] | None = None,
    given: str = "",
    codes: Sequence[int] = (0,),
    memory: bool = False,
) -> Took:
    """Run a command in a folder, with text for its standard input. Raises CommandFailed."""
    words = [str(word) for word in command]
    runner = [sys.executable, "-I", __file__, str(int(memory)), str(LINGERING), *words]
    done = subprocess.run(
        runner, cwd=folder, env={**os.environ, **(env or {})}, input=given, capture_output=True, text=True
    )
    *errors, last = done.stderr.splitlines() or [""]
    what = f"{' '.join(words)}\n{done.stdout[-2000:]}\n" + "\n".join(errors[-40:])
    if done.returncode:
        raise CommandFailed(f"{what}\n{last}")
    told = json.loads(last)
    if told["code"] not in codes:
        raise CommandFailed(f"exit code {told['code']}: {what}")
    return Took(told["wall"], told["processor"], told["peak"], done.stdout)


def processor_so_far() -> float:
    """Return the processor time of this process and of all its children, ended or not, in seconds."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime + _used(_descendants(os.getpid()))


def processor_of(pid: int) -> float:
    """Return the processor time of a process and of all its children, ended or not, in seconds."""
    return _used([pid, *_descendants(pid)])


def _used(pids: Iterable[int]) -> float:
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            # proc_pid_stat(5): utime, stime, cutime, cstime, counted from behind the name.
            ticks += sum(map(int, _stat(pid)[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            children.setdefault(int(_stat(process.name)[1]), []).append(int(process.name))
    found = list(children.get(root, ()))
    for pid in found:
        found += children.get(pid, ())
    return found


def _stat(pid: int | str) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _memory(root: int) -> int:
    octets = 0
    for pid in _descendants(root):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    octets += int(line.split()[1]) * 1024
    return octets


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def _main() -> None:
    """Run a command and write what it took to standard error, as the last line."""
    sampling, lingering, command = sys.argv[1] == "1", int(sys.argv[2]), sys.argv[3:]
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    peak = 0
    began = time.perf_counter()
    # Of its own session, so that a password is read from its standard input, and dies with us.
    process = subprocess.Popen(
        command, start_new_session=True, preexec_fn=lambda: _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    )
    ended = os.pidfd_open(process.pid)
    while not select.select([ended], [], [], _SAMPLE_EVERY if sampling else None)[0]:
        peak = max(peak, _memory(os.getpid()))
    wall = time.perf_counter() - began
    code = process.wait()
    signal.alarm(lingering)  # ends us with SIGALRM, which the caller sees
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = {"code": code, "wall": wall, "processor": used.ru_utime + used.ru_stime, "peak": peak}
    print(json.dumps(told), file=sys.stderr)


if __name__ == "__main__":
    _main()
