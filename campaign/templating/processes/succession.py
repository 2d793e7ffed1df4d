"""Replaces workers that end, so that every row of a task gets an answer, in order.

The row at which a worker ended is answered with an `Overrun`; the other rows that it owed are done again. If
something else killed the worker, the row gets a second chance.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Generic, TypeAlias, TypeVar

from campaign.errors import Overrun, UserError
from campaign.templating.processes.channel import Channel, Ended
from campaign.templating.processes.frames import Frame, Garbled, Plain, problem_of
from campaign.templating.processes.work import Row, Task
from campaign.templating.processes.worker import Kind

_KILLED = 2  # how many workers may be killed at one row

Tag = TypeVar("Tag")
Answer: TypeAlias = Frame | UserError


class WorkerBug(RuntimeError):
    """A worker raised an unexpected error; the message is its traceback."""


@dataclass(slots=True)
class _Asked(Generic[Tag]):
    """A requested row. `answer` is set if its worker ended at it."""

    tag: Tag
    row: Row
    killed: int = 0
    answer: UserError | None = None


class Succession(Generic[Tag]):
    """Workers with the same task, one after another; `head` is the first one's description of it.

    Raises UserError if the task is wrong, and Overrun if a later worker's description differs.
    """

    def __init__(self, task: Task, expected: Plain = None) -> None:
        self._task = task
        self._waiting: deque[_Asked[Tag]] = deque()
        self.head: Plain = expected
        self._begin()

    @property
    def idle(self) -> bool:
        """Whether all answers were taken."""
        return not self._waiting

    def submit(self, rows: Iterable[tuple[Tag, Row]]) -> int:
        """Ask for rows, and return how many."""
        asked = [_Asked(tag, row) for tag, row in rows]
        self._waiting += asked
        self.channel.submit([one.row for one in asked])
        return len(asked)

    def answer(self) -> tuple[Tag, Answer]:
        """Return the next row's answer."""
        while True:
            asked = self._waiting[0]
            if asked.answer is not None:
                return self._waiting.popleft().tag, asked.answer
            try:
                frame = self.channel.receive(self._received)
            except Ended as ended:
                self._replace(ended)
                continue
            self._received += 1
            self._waiting.popleft()
            return asked.tag, read(frame)

    def close(self) -> None:
        """End the worker."""
        self.channel.close()

    def let_go(self) -> None:
        """Let the worker end by itself."""
        self.channel.let_go()

    def _begin(self) -> None:
        """Start a worker and open the task in it. Raises UserError."""
        self._received = 0
        for attempt in range(_KILLED):
            self.channel = Channel(self._task)
            try:
                answer = read(self.channel.receive(0))
            except Ended as ended:
                if ended.killed and attempt + 1 < _KILLED:
                    continue
                raise _overrun(ended) from None
            if isinstance(answer, UserError):
                self.channel.close()
                raise answer
            if self.head is not None and answer.head != self.head:
                self.channel.close()
                raise Overrun("the templates have changed since they were read; begin again")
            self.head = answer.head
            return

    def _replace(self, ended: Ended) -> None:
        """Start a new worker after, or again at, the row at which the last one ended."""
        owing = [asked for asked in self._waiting if asked.answer is None]
        place = ended.begun - self._received - 1
        if 0 <= place < len(owing):
            culprit = owing[place]
            culprit.killed += 1
            if not ended.killed or culprit.killed >= _KILLED:
                culprit.answer = _overrun(ended)
                del owing[place]
        else:
            self._waiting[0].killed += 1
            if self._waiting[0].killed > _KILLED:
                raise _overrun(ended)
        self._begin()
        if owing:
            self.channel.submit([asked.row for asked in owing])


def _overrun(ended: Ended) -> Overrun:
    return Overrun(replace(ended.place, message=ended.why))


def read(frame: Frame) -> Answer:
    """Return the answer in a frame; problems become a UserError. Raises WorkerBug."""
    match frame.head:
        case [Kind.MADE, made]:
            return Frame(made, frame.blobs)
        case [Kind.WRONG, list() as problems]:
            return UserError(*map(problem_of, problems))
        case [Kind.OVERRUN, list() as problems]:
            return Overrun(*map(problem_of, problems))
        case [Kind.BUG, str() as traceback]:
            raise WorkerBug(traceback)
        case _:
            raise Garbled("no kind of answer is like this")
