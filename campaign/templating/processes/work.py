"""Defines the work of a worker: a task, opened once, and then one row after another.

A task is defined where it is needed (`message/drafting.py`, `recipients/naming.py`) and pickled into the
worker. The answer is a `Frame` of plain data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from campaign.templating.processes.frames import Plain

Row: TypeAlias = tuple[object, ...]
"""A row for a worker, of types that `marshal` supports."""


@dataclass(frozen=True, slots=True)
class Made:
    """The result of a row, or of opening a task."""

    head: Plain
    blobs: list[bytes] = field(default_factory=list)


Opened: TypeAlias = tuple[Made, Callable[[Row], Made]]
"""The description of an open task, and a function that does a row."""


class Task(Protocol):
    """What a worker needs to process rows; it must contain no secret."""

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules that it needs; the fork server loads them once for all workers."""

    def open(self) -> Opened:
        """Prepare the task. Raises UserError; the returned function does too."""
