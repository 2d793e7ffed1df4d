"""The benchmark itself: it counts what was done, all processes, all memory, and takes nobody's word."""

from __future__ import annotations

import itertools
import smtplib
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import measure, newsletter
from tests.bench.measure import CommandFailed, Took, run
from tests.bench.peers.job import HOST, PASSWORD, USER
from tests.bench.server import Discarding
from tests.bench.table import lines, machine_readable
from tests.bench.turns import Contender, WrongCount, in_turns
from tests.e2e.folder import until
from tests.need import need

PYTHON = sys.executable
# Each process that works takes 0.3 s of a processor, however fast that is. A child is waited for; another
# outlives its parent, in a session of its own.
FAMILY = """
import subprocess, sys
WORK = "import time\\nwhile time.process_time() < 0.3: pass"
subprocess.run([sys.executable, "-c", WORK], check=True)
subprocess.Popen([sys.executable, "-c", f"import os, time; os.setsid(); time.sleep(0.2)\\n{WORK}"])
"""
LARGE = (
    "import os, time; held = bytearray(80_000_000); held[::4096] = b'1' * len(held[::4096]); time.sleep(0.5)"
)


def contender(name: str, seconds: list[float], done: int = 10) -> Contender:
    """One that takes these seconds in turn, again and again."""
    times = itertools.cycle(seconds)
    return Contender(name, 10, lambda: Took(next(times), 2.0), lambda took: done)


def test_a_turn_is_everybody_s_and_medians_are_compared() -> None:
    order: list[str] = []

    def noted(name: str, took: float) -> Contender:
        def go() -> Took:
            order.append(name)
            return Took(took, took)

        return Contender(name, 1, go, lambda took: 1)

    in_turns("order", [noted("A", 1), noted("B", 2)], 2, warm=True)
    assert order == ["A", "B"] * 3
    found = in_turns("medians", [contender("ours", [1, 50, 2]), contender("peer", [6, 4, 90])], 3)
    ours, peer = found.figures
    assert (ours.wall, peer.wall) == (0.2, 0.6)
    assert found.wall_ratio(peer) == pytest.approx(3)
    assert found.processor_ratio(peer) == 1


@pytest.mark.parametrize("done", [9, 11, 0])
def test_who_did_more_or_less_has_no_figures(done: int) -> None:
    with pytest.raises(WrongCount, match=f"counts: peer did {done}, and not 10"):
        in_turns("counts", [contender("ours", [1]), contender("peer", [1], done)], 1)


def test_figures_are_for_each_message() -> None:
    few = Contender("few", 5, lambda: Took(5, 1), lambda took: 5)
    many = Contender("many", 50, lambda: Took(5, 1), lambda took: 50)
    found = in_turns("send", [many, few], 1, wanted="wall >= 4")
    assert found.wall_ratio(found.figures[1]) == pytest.approx(10)
    table = "\n".join(lines(found))
    assert "wanted: wall >= 4" in table
    assert "x10.00" in table
    assert machine_readable(found)["figures"][1]["wall_ratio"] == pytest.approx(10)


def test_the_processor_time_of_all_processes_counts(tmp_path: Path) -> None:
    assert run([PYTHON, "-c", FAMILY], tmp_path).processor >= 0.6


def test_a_process_that_stays_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.bench.measure.LINGERING", 1)
    null = "stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL"
    stays = f"import subprocess; subprocess.Popen(['sleep', '3'], {null})"
    with pytest.raises(CommandFailed):
        run([PYTHON, "-c", stays], tmp_path)


def state(pid: str) -> str:
    """Return the state of a process (proc_pid_stat(5)), X for one that is not there."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "X"


def test_whoever_ends_the_benchmark_ends_what_it_times(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    sleeps = (
        f"import os, pathlib, time; pathlib.Path({str(pid)!r}).write_text(str(os.getpid())); time.sleep(60)"
    )
    runner = subprocess.Popen([PYTHON, "-I", measure.__file__, "0", "5", PYTHON, "-c", sleeps])
    until(lambda: pid.exists() and pid.read_text())
    runner.kill()
    runner.wait()
    until(lambda: state(pid.read_text()) in "ZX")


def test_memory_is_the_sum_of_all_processes(tmp_path: Path) -> None:
    child = f"child = subprocess.Popen([sys.executable, '-c', {LARGE!r}])"
    both = f"import subprocess, sys; {child}; {LARGE}; child.wait()"
    assert 160e6 < run([PYTHON, "-c", both], tmp_path, memory=True).peak < 260e6


def test_a_command_that_fails_is_not_timed(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="exit code 3"):
        run([PYTHON, "-c", "raise SystemExit(3)"], tmp_path)
    assert run([PYTHON, "-c", "print(input()); raise SystemExit(3)"], tmp_path, given="hi", codes=(3,)).output


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Discarding]:
    need("postfix")
    server = Discarding(tmp_path_factory.mktemp("certificates"), USER, PASSWORD)
    yield server
    server.close()


def test_what_arrived_is_what_the_server_says(server: Discarding) -> None:
    def send(*people: str) -> int:
        server.arrived()
        with smtplib.SMTP(HOST, server.port) as session:
            session.starttls(context=ssl.create_default_context(cafile=server.ca_file))
            session.login(USER, PASSWORD)
            for person in people:
                session.sendmail(newsletter.FROM, [person], "Subject: x\r\n\r\nHi\r\n")
        return server.arrived()

    assert send("a@example.test", "b@example.test", "c@example.test") == 3
    assert send("a@example.test") == 1
    assert send() == 0
    assert send("a@example.test", "a@example.test") == -1


def test_the_newsletter_has_ten_kilobytes_and_is_valid(tmp_path: Path) -> None:
    newsletter.write(tmp_path, 3)
    campaign = [PYTHON, "-m", "campaign", "preview", "campaign.yaml", "--row", "2", "--eml", "out"]
    run(campaign, tmp_path)
    (mail,) = (tmp_path / "out").iterdir()
    assert 9_000 < len(mail.read_bytes()) < 16_000
