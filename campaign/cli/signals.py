"""Ctrl-C and SIGTERM during a run: once to wait for what is due, twice to stop at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from campaign.sender import Sender


@contextmanager
def interruptible(sender: Sender) -> Iterator[None]:
    """Turn signals into `sender.interrupt` while the context is open."""
    asked = 0

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked += 1
        sender.interrupt(at_once=asked > 1)
        if asked == 1:
            click.echo("\nstopping; waiting for the answers that are due (again: at once)", err=True)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
