"""Distributes rows to several worker processes, and returns their answers.

pool = Pool(task, jobs)      opens the task in one worker
pool.ask(row)                one row, from any thread
pool.each(rows)              many, in order, on all jobs; memory stays flat
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from campaign import clock
from campaign.errors import UserError
from campaign.model import SECOND
from campaign.templating.processes.frames import Frame, Plain
from campaign.templating.processes.succession import Answer, Succession
from campaign.templating.processes.work import Row, Task

ALONE = SECOND // 2
"""Nanoseconds before a second worker is started; starting one takes about a fifth of that."""

_SMALLEST, _LARGEST = 8, 64  # rows of a batch
_UNDER_WAY = 2  # batches per worker: it makes the next while one is read
_OCTETS = 50_000  # a batch with this many octets of cells is full

Tag = TypeVar("Tag")


def cores() -> int:
    """Return how many processes can run at once."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


class Pool:
    """Workers with one task. `head` is its own description. Raises UserError if it cannot be opened."""

    def __init__(self, task: Task, jobs: int = 1) -> None:
        self._task = task
        self._jobs = jobs
        self._lock = threading.Lock()
        self._of = os.getpid()
        self._idle: list[Succession[Any]] = []
        weakref.finalize(self, _let_go, self._idle)
        first: Succession[Any] = Succession(task)
        self.head: Plain = first.head
        self._idle.append(first)

    def ask(self, row: Row) -> Frame:
        """Return one row's answer. Raises UserError."""
        worker = self.take()
        try:
            worker.submit([(None, row)])
            _, answer = worker.answer()
        finally:
            self.give_back(worker)
        if isinstance(answer, UserError):
            raise answer
        return answer

    def each(self, rows: Iterable[tuple[Tag, Row]]) -> Iterator[tuple[Tag, Answer]]:
        """Yield the answers in the rows' order. Raises UserError if a worker cannot be replaced."""
        batches = _batches(rows)
        workers: list[Succession[Tag]] = []
        under_way: deque[tuple[Succession[Tag], int]] = deque()
        try:
            began, turn = clock.steady(), 0
            while True:
                jobs = self._jobs if clock.steady() - began >= ALONE else 1
                while len(under_way) < _UNDER_WAY * jobs and (batch := next(batches, None)):
                    if len(workers) < jobs:
                        workers.append(self.take())
                        worker = workers[-1]
                    else:
                        worker = workers[turn % jobs]
                    under_way.append((worker, worker.submit(batch)))
                    turn += 1
                if not under_way:
                    return
                worker, count = under_way.popleft()
                for _ in range(count):
                    yield worker.answer()
        finally:
            for worker in workers:
                self.give_back(worker)

    def take(self) -> Succession[Any]:
        """Return a worker for the caller alone; it must be given back."""
        with self._lock:
            if self._of != os.getpid():  # after a fork, the workers are the parent's
                self._of = os.getpid()
                _let_go(self._idle)
            if self._idle:
                return self._idle.pop()
        return Succession(self._task, self.head)

    def give_back(self, worker: Succession[Any]) -> None:
        """Take a worker back; if it still owes answers, it is ended."""
        with self._lock:
            if worker.idle and len(self._idle) < self._jobs:
                self._idle.append(worker)
                return
        worker.close()


def _let_go(workers: list[Succession[Any]]) -> None:
    while workers:
        workers.pop().let_go()


def _batches(rows: Iterable[tuple[Tag, Row]]) -> Iterator[list[tuple[Tag, Row]]]:
    """Yield rows in batches, the first ones small."""
    most, size = _SMALLEST, 0
    batch: list[tuple[Tag, Row]] = []
    for tag, row in rows:
        batch.append((tag, row))
        size += _length(row)
        if len(batch) >= most or size >= _OCTETS:
            yield batch
            batch, size, most = [], 0, min(2 * most, _LARGEST)
    if batch:
        yield batch


def _length(row: Row) -> int:
    """Return the approximate size of a row's text."""
    return sum(
        len(cell) if isinstance(cell, str) else sum(map(len, cell)) if isinstance(cell, tuple) else 0
        for cell in row
    )
