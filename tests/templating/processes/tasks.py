"""Tasks that do in a worker what no template should."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from campaign.errors import Problem, UserError
from campaign.templating.processes.page import encoded, here
from campaign.templating.processes.work import Made, Opened, Row


@dataclass(frozen=True)
class Deeds:
    """Each row names a deed and its argument."""

    said: str = ""
    at_opening: str = ""
    file: str = ""
    modules: tuple[str, ...] = ()

    def open(self) -> Opened:
        if self.at_opening:
            DEEDS[self.at_opening](0)
        said = Path(self.file).read_text() if self.file else self.said
        return Made(f"open {said}"), _do


def _do(row: Row) -> Made:
    name, argument = row
    here.note(encoded(Problem("", "body.txt", path=str(name))))
    return Made(DEEDS[str(name)](argument))


def _burn(argument: object) -> str:
    began = time.process_time()
    while time.process_time() - began < float(str(argument)):
        pass
    return "burnt"


def _hang(argument: object) -> str:
    x: list[object] = [1]
    y: list[object] = [1]
    for _ in range(60):
        x, y = [x, x], [y, y]
    return str(x == y)


def _print(argument: object) -> str:
    print("from a worker")
    print("from a worker", file=sys.stderr)
    os.write(1, b"from a worker")
    os.write(2, b"from a worker")
    return "printed"


def _write(argument: object) -> str:
    with Path(str(argument)).open("w") as file:
        file.write("x")
    return "written"


def _kill_once(argument: object) -> str:
    """Die as if killed, the first time."""
    mark = Path(str(argument))
    if not mark.exists():
        mark.mkdir()
        os.kill(os.getpid(), signal.SIGKILL)
    return "lived"


def _refuse(argument: object) -> str:
    raise UserError(Problem(str(argument), "body.txt", 3, same="a refusal"))


def _bug(argument: object) -> str:
    raise KeyError(argument)


def _take(argument: object) -> str:
    return str(len(bytearray(int(str(argument)))))


def _close(argument: object) -> str:
    """Close everything and go on living."""
    os.closerange(3, 100)
    time.sleep(100)
    return ""


def _signal(argument: object) -> str:
    os.kill(os.getpid(), int(str(argument)))
    return "alive"


def _sleep(argument: object) -> str:
    time.sleep(float(str(argument)))
    return "woken"


DEEDS: dict[str, Callable[[object], str]] = {
    "echo": str,
    "burn": _burn,
    "hang": _hang,
    "print": _print,
    "write": _write,
    "kill once": _kill_once,
    "refuse": _refuse,
    "bug": _bug,
    "take": _take,
    "close": _close,
    "signal": _signal,
    "long": lambda argument: "x" * int(str(argument)),
    "pid": lambda argument: str(os.getpid()),
    "parent": lambda argument: str(os.getppid()),
    "folder": lambda argument: str(Path.cwd()),
    "environment": lambda argument: repr(os.environ),
    "open many": lambda argument: str([os.open("/", os.O_RDONLY) for _ in range(100)]),
    "loaded": lambda argument: str(argument in sys.modules),
    "sleep": _sleep,
}
