"""Rows are made in order, whatever becomes of a worker; the kernel ends what takes too much."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign.errors import Overrun
from campaign.model import SECOND
from campaign.templating.processes import starting
from campaign.templating.processes.frames import Frame
from campaign.templating.processes.page import SIZE
from campaign.templating.processes.pool import Pool
from campaign.templating.processes.spawned import Spawned
from campaign.templating.processes.succession import Answer, WorkerBug
from campaign.templating.processes.work import Row
from tests.templating.processes.tasks import Deeds

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the kernel's limits are set where it forks")


@pytest.fixture
def pool() -> Pool:
    return Pool(Deeds())


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """All workers begin with the first rows, however soon the list ends."""
    monkeypatch.setattr("campaign.templating.processes.pool.ALONE", 0)


@pytest.fixture(params=["forked", "spawned"])
def both(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that a fork server forks, and such as are started by exec, where nothing can fork."""
    if request.param == "spawned":
        monkeypatch.setattr("campaign.templating.processes.channel.started", Spawned)


def answers(pool: Pool, rows: list[Row]) -> list[str]:
    """What became of each row."""
    found = []
    for place, (tag, answer) in enumerate(pool.each(enumerate(rows))):
        assert tag == place
        found.append(said(answer))
    return found


def said(answer: Answer) -> str:
    return str(answer.head) if isinstance(answer, Frame) else str(answer)


def refusal(pool: Pool, deed: str, argument: object = 0) -> str:
    with pytest.raises(Overrun) as caught:
        pool.ask((deed, argument))
    return str(caught.value)


@pytest.mark.usefixtures("both")
class TestOrder:
    @pytest.mark.usefixtures("at_once")
    @pytest.mark.parametrize("jobs", [1, 2, 3])
    @pytest.mark.parametrize("count", [0, 1, 2, 1000])
    def test_answers_come_in_the_rows_order(self, jobs: int, count: int) -> None:
        rows: list[Row] = [("echo", f"row {number}") for number in range(count)]
        assert answers(Pool(Deeds(), jobs), rows) == [f"row {number}" for number in range(count)]

    @pytest.mark.usefixtures("at_once")
    def test_several_work_at_once(self) -> None:
        assert len(set(answers(Pool(Deeds(), 2), [("pid", 0)] * 200))) == 2

    def test_for_a_short_list_one_is_enough(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("campaign.templating.processes.pool.ALONE", 3600 * SECOND)
        assert len(set(answers(Pool(Deeds(), 2), [("pid", 0)] * 200))) == 1

    def test_others_join_where_it_takes_long(self) -> None:
        rows: list[Row] = [("pid", 0), *[("burn", 0.05)] * 40, *[("pid", 0)] * 200]
        pids = answers(Pool(Deeds(), 2), rows)
        assert len({pids[0], *pids[41:]}) == 2

    @pytest.mark.usefixtures("at_once")
    def test_an_answer_is_larger_than_any_pipe(self) -> None:
        rows: list[Row] = [("long", 3_000_000)] * 20
        assert [len(answer) for answer in answers(Pool(Deeds(), 2), rows)] == [3_000_000] * 20

    def test_a_row_is_larger_than_any_pipe(self, pool: Pool) -> None:
        rows: list[Row] = [("echo", "x" * 3_000_000)] * 5
        assert [len(answer) for answer in answers(pool, rows)] == [3_000_000] * 5

    def test_rows_are_read_as_they_are_needed(self, pool: Pool) -> None:
        taken = 0

        def rows() -> Iterator[tuple[int, Row]]:
            nonlocal taken
            for number in range(100_000):
                taken += 1
                yield number, ("echo", "x")

        for number, _ in pool.each(rows()):
            if number == 1000:
                break
        assert taken < 2000

    def test_problems_stand_in_their_row_s_place(self, pool: Pool) -> None:
        found = answers(pool, [("echo", "a"), ("refuse", "no"), ("echo", "b")])
        assert found == ["a", "body.txt:3: no", "b"]

    def test_a_bug_is_raised_with_its_traceback(self, pool: Pool) -> None:
        with pytest.raises(WorkerBug, match="KeyError: 'k'"):
            pool.ask(("bug", "k"))
        assert pool.ask(("echo", "on")).head == "on"


class TestThreads:
    def test_each_gets_its_own_answer(self) -> None:
        pool = Pool(Deeds(), 2)
        wrong: list[int] = []

        def ask(name: str) -> None:
            wrong.extend(n for n in range(100) if pool.ask(("echo", f"{name} {n}")).head != f"{name} {n}")

        threads = [threading.Thread(target=ask, args=(f"thread {number}",)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong

    def test_the_first_worker_may_come_from_a_thread(self) -> None:
        starting.stop()
        heads: list[object] = []
        thread = threading.Thread(target=lambda: heads.append(Pool(Deeds("there")).head))
        thread.start()
        thread.join()
        assert heads == ["open there"]


@needs_fork
def test_the_server_can_be_begun_before_it_is_needed() -> None:
    starting.stop()
    starting.begin(["campaign.recipients.naming"])
    pool = Pool(Deeds())
    assert pool.ask(("loaded", "campaign.recipients.naming")).head == "True"
    starting.begin(["campaign.message.drafter"])  # it runs already
    assert Pool(Deeds()).ask(("loaded", "campaign.message.drafter")).head == "False"


@needs_fork
class TestLimits:
    def test_processor_time(self, pool: Pool) -> None:
        assert refusal(pool, "burn", 20) == (
            "body.txt: burn: the template makes too much work: more than 5 s of processor time"
        )

    @pytest.mark.usefixtures("both")
    def test_one_call_into_c(self, pool: Pool) -> None:
        assert "too much work: more than 5 s" in refusal(pool, "hang")
        assert pool.ask(("echo", "on")).head == "on"

    def test_time_is_each_row_s_own(self, pool: Pool) -> None:
        assert answers(pool, [("burn", 0.08)] * 80 + [("echo", "end")])[-1] == "end"

    @pytest.mark.usefixtures("both")
    def test_memory(self, pool: Pool) -> None:
        assert refusal(pool, "take", 700_000_000) == "body.txt: take: the template needs more than 512 MB"
        assert answers(pool, [("take", 300_000_000)] * 3) == ["300000000"] * 3

    def test_opening_is_limited_too(self) -> None:
        with pytest.raises(Overrun, match="more than 5 s of processor time"):
            Pool(Deeds(at_opening="hang"))

    @pytest.mark.usefixtures("at_once")
    def test_only_the_row_is_lost_whose_work_was_too_much(self) -> None:
        rows: list[Row] = [("echo", f"{number}") for number in range(300)]
        rows[150] = ("take", 700_000_000)
        found = answers(Pool(Deeds(), 2), rows)
        assert found[150] == "body.txt: take: the template needs more than 512 MB"
        assert found[:150] + found[151:] == [f"{number}" for number in range(300) if number != 150]

    def test_no_file_is_written_and_few_are_open(self, pool: Pool, tmp_path: Path) -> None:
        with pytest.raises(WorkerBug, match="File too large"):
            pool.ask(("write", str(tmp_path / "file")))
        with pytest.raises(WorkerBug, match="Too many open files"):
            pool.ask(("open many", 0))


@pytest.mark.usefixtures("both")
class TestDeaths:
    @pytest.mark.usefixtures("at_once")
    def test_a_row_whose_worker_was_killed_is_made_again(self, tmp_path: Path) -> None:
        rows: list[Row] = [("echo", f"{number}") for number in range(200)]
        rows[100] = ("kill once", str(tmp_path / "mark"))
        found = answers(Pool(Deeds(), 2), rows)
        assert found[100] == "lived"
        assert found[:100] + found[101:] == [f"{number}" for number in range(200) if number != 100]

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
    def test_one_that_kills_every_worker_is_told(self, pool: Pool, number: signal.Signals) -> None:
        assert f"has ended twice ({number.name})" in refusal(pool, "signal", int(number))
        assert pool.ask(("echo", "on")).head == "on"

    def test_an_idle_worker_may_be_killed(self, pool: Pool) -> None:
        os.kill(int(str(pool.ask(("pid", 0)).head)), signal.SIGKILL)
        assert pool.ask(("echo", "on")).head == "on"

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_signals_of_the_group_are_ignored(self, pool: Pool, number: signal.Signals) -> None:
        assert pool.ask(("signal", int(number))).head == "alive"

    def test_one_that_closes_its_connection_is_ended(self, pool: Pool) -> None:
        assert "has ended twice" in refusal(pool, "close")

    def test_silence_is_given_up(self, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("campaign.templating.processes.channel.DEADLINE", 3.0)
        assert refusal(pool, "sleep", 50).startswith("body.txt: sleep: the template takes more than")
        assert answers(pool, [("sleep", 0.1)] * 10) == ["woken"] * 10


class TestForkServer:
    def test_the_fork_server_may_be_killed(self, pool: Pool) -> None:
        server = pool.ask(("parent", 0)).head
        os.kill(int(str(server)), signal.SIGKILL)
        assert Pool(Deeds("again")).head == "open again"
        assert pool.ask(("echo", "on")).head == "on"

    def test_one_that_is_killed_after_the_fork_server_was(self, pool: Pool, tmp_path: Path) -> None:
        os.kill(int(str(pool.ask(("parent", 0)).head)), signal.SIGKILL)
        assert pool.ask(("kill once", str(tmp_path / "mark"))).head == "lived"

    def test_after_an_interrupt_nobody_gets_the_answer_that_was_due(self) -> None:
        server = starting.ForkServer()
        worker = server.fork([])
        pid = int(subprocess.check_output(["ps", "-o", "ppid=", "-p", str(worker.pid)]))
        os.kill(pid, signal.SIGSTOP)
        main = threading.main_thread().ident or 0
        threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            server.fork([])
        os.kill(pid, signal.SIGCONT)
        with pytest.raises(starting.ServerGone):
            worker.look()
        worker.let_go()
        server.close()


@pytest.mark.usefixtures("both")
class TestConfinement:
    def test_nothing_that_it_prints_is_seen(self, pool: Pool, capfd: pytest.CaptureFixture[str]) -> None:
        pool.ask(("print", 0))
        assert capfd.readouterr() == ("", "")

    def test_its_environment_has_no_password(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SMTP_PASSWORD", "hunter2")
        starting.stop()
        found = str(Pool(Deeds()).ask(("environment", 0)).head)
        assert "PYTHONPATH" in found
        assert "hunter2" not in found

    def test_it_stands_where_its_parent_does(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert Pool(Deeds()).ask(("folder", 0)).head == str(tmp_path)
        gone = tmp_path / "gone"
        gone.mkdir()
        monkeypatch.chdir(gone)
        gone.rmdir()
        assert Pool(Deeds("somewhere")).head == "open somewhere"

    def test_another_s_task_may_not_differ(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "source").write_text("one")
        pool = Pool(Deeds(file=str(tmp_path / "source")))
        (tmp_path / "source").write_text("other")
        with pytest.raises(Overrun, match="the templates have changed since they were read"):
            pool.ask(("signal", int(signal.SIGKILL)))

    def test_such_a_task_ends_nobody_else(self, tmp_path: Path) -> None:
        (tmp_path / "source").write_text("one")
        pool, other = Pool(Deeds(file=str(tmp_path / "source"))), Pool(Deeds())
        at_work = other.ask(("pid", 0)).head
        (tmp_path / "source").write_text("other")
        with pytest.raises(Overrun):
            pool.ask(("signal", int(signal.SIGKILL)))
        assert other.ask(("pid", 0)).head == at_work


def test_a_place_fits_the_page() -> None:
    from campaign.errors import Problem
    from campaign.templating.processes.page import Page, decoded, encoded

    page = Page(bytearray(SIZE))
    assert decoded(page.read()[1]).path == ""
    for file in ("a.html", "ö" * 5000 + ".html", None):
        place = Problem("", file, 3, 4, "subject" * 100)
        page.note(encoded(place))
        page.begin()
        begun, noted = page.read()
        assert decoded(noted).line == 3
        assert (decoded(noted).file or "")[-5:] == (file or "")[-5:]
    assert begun == 3
    page.note(b"{")
    assert decoded(page.read()[1]).file is None
