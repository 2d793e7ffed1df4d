"""Waits are cut into slices: after each one, the waiting thread checks whether the run was stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

from campaign.errors import ConnectFailed

SLICE = 0.25  # seconds

STOPPED = "the run was stopped"
NO_THREAD = "this machine lets the program start no more threads"

T = TypeVar("T")


def unless_stopped(call: Callable[[], T], stopped: Callable[[], bool]) -> T:
    """Return what `call` returns, or raise what it raises.

    A call such as the resolver's can take minutes and cannot be interrupted, so it runs in a daemon thread.
    Raises ConnectFailed if `stopped` meanwhile, or if no thread can be started.
    """
    future: Future[T] = Future()

    def make() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    try:
        threading.Thread(target=make, daemon=True).start()
    except RuntimeError as error:  # a limit of the user, the container or the service
        raise ConnectFailed(NO_THREAD) from error
    while not wait([future], SLICE).done:
        if stopped():
            raise ConnectFailed(STOPPED, permanent=True)
    return future.result()
