"""Handle Ctrl-C, SIGTERM and SIGHUP: once to stop after pending replies, twice to stop at once."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

from campaign.cli.output import echo

if TYPE_CHECKING:
    from campaign.sending.audience import Interruptible


def ending_signals() -> list[signal.Signals]:
    """Return the signals that end a command as Ctrl-C does; not SIGHUP if nohup ignores it."""
    hangup: signal.Signals | None = getattr(signal, "SIGHUP", None)  # Windows has none
    if hangup is None or signal.getsignal(hangup) is signal.SIG_IGN:
        return [signal.SIGTERM]
    return [signal.SIGTERM, hangup]


_AGAIN = 0.01  # seconds


class Interrupted(KeyboardInterrupt):
    """A signal asked the command to end.

    It is a subclass for a reason: if KeyboardInterrupt itself leaves an `exec` of source, such as when a
    dataclass is created, CPython remembers it, and ends the process by SIGINT whatever its exit code is.
    """


def end_by_signals() -> None:
    """Let Ctrl-C, SIGTERM and SIGHUP raise Interrupted. Raises ValueError outside the main thread."""
    for number in ending_signals():
        signal.signal(number, _raise)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # unless the shell ignores it
        signal.signal(signal.SIGINT, _raise)
    if sys.unraisablehook is not _swallowed:
        global _hook
        _hook, sys.unraisablehook = sys.unraisablehook, _swallowed
    if sys.platform != "win32":  # `__main__` has blocked them
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT, *ending_signals()])


_raised: list[Interrupted] = []  # in this command


@contextmanager
def heard() -> Iterator[None]:
    """Raise an interrupt that was raised inside again, instead of any error that it caused.

    It may have interrupted an import or an answer half-way; and if it interrupts a function that SQL calls,
    SQLite only reports that the function failed.
    """
    _raised.clear()
    try:
        yield
    except Exception:
        if _raised:
            raise _raised[0] from None
        raise
    finally:
        _raised.clear()  # its traceback keeps objects alive that close and clean up when they are freed


def _raise(number: int, frame: FrameType | None) -> None:
    interrupt = Interrupted(number)
    _raised.append(interrupt)
    raise interrupt


_hook = sys.unraisablehook


def _swallowed(unraisable: sys.UnraisableHookArgs) -> None:
    """Raise Interrupted again if a destructor or a callback, which cannot raise, has swallowed it."""
    if not isinstance(unraisable.exc_value, Interrupted):
        _hook(unraisable)
        return
    after = _AGAIN
    while after:
        try:
            # From another thread, a moment later: raised here, it would be swallowed again.
            threading.Timer(after, _send_again, unraisable.exc_value.args).start()
            after = 0.0
        except Interrupted:  # the signal came before this thread continued
            after *= 2


def _send_again(number: int) -> None:
    if sys.platform == "win32":
        _thread.interrupt_main(number)
    else:  # this also ends a wait of the main thread
        signal.pthread_kill(threading.main_thread().ident or 0, number)


def _say(words: str) -> None:
    """Write to stderr from a signal handler."""
    try:
        echo(words, err=True)
    except RuntimeError:  # the signal interrupted a write to stderr, which is not reentrant
        with suppress(OSError):
            os.write(sys.stderr.fileno(), f"{words}\n".encode())


@contextmanager
def interruptible(run: Interruptible) -> Iterator[None]:
    """Turn signals into `interrupt` while the context is open.

    A second signal that comes when the run has just ended is ignored, so that the result is still printed.
    The next one ends the command.
    """
    asked = 0

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked += 1
        run.interrupt(at_once=asked > 1)
        if asked == 1:
            _say("\nstopping: waiting for the pending replies (again: stops immediately)")

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def swallow(number: int, frame: FrameType | None) -> None:
        restore()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, *ending_signals())}
    try:
        yield
    finally:
        restore()
        if asked == 1:
            for number in before:
                signal.signal(number, swallow)
