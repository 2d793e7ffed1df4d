"""What a worker is asked to do: a task, opened once, and then a row after the other.

A task is made where it is needed (`message/drafting.py`, `recipients/naming.py`) and pickled into the
worker. What comes back is a `Frame` of plain data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from campaign.templating.processes.frames import Plain

Row: TypeAlias = tuple[object, ...]
"""A row as it goes to a worker: of what `marshal` knows only."""


@dataclass(frozen=True, slots=True)
class Made:
    """What came of a row, or of opening a task."""

    head: Plain
    blobs: list[bytes] = field(default_factory=list)


Opened: TypeAlias = tuple[Made, Callable[[Row], Made]]
"""What there is to say of a task once it is open, and what makes a row."""


class Task(Protocol):
    """What a worker needs to know to make something of rows; it must hold no secret."""

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules that it needs; the fork server loads them once for all workers."""

    def open(self) -> Opened:
        """Compile. Raises UserError; and so does what makes a row."""
