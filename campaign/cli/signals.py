"""Ctrl-C, SIGTERM and a terminal that goes away: once to wait for what is due, twice to stop at once."""

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
    from campaign.sending.job import Interruptible


def ending_signals() -> list[signal.Signals]:
    """Return the signals that end a command as Ctrl-C does; SIGHUP unless nohup has turned it off."""
    hangup: signal.Signals | None = getattr(signal, "SIGHUP", None)  # Windows has none
    if hangup is None or signal.getsignal(hangup) is signal.SIG_IGN:
        return [signal.SIGTERM]
    return [signal.SIGTERM, hangup]


_AGAIN = 0.01  # seconds


class Interrupted(KeyboardInterrupt):
    """A signal asked the command to end.

    Of a class of its own: where KeyboardInterrupt itself leaves an `exec` of source, as in the making of a
    dataclass, CPython notes it, and ends the process by SIGINT whatever code it exits with.
    """


def end_by_signals() -> None:
    """Let Ctrl-C, SIGTERM and SIGHUP raise Interrupted; main thread only (else ValueError)."""
    for number in ending_signals():
        signal.signal(number, _raise)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where the shell turned it off
        signal.signal(signal.SIGINT, _raise)
    if sys.unraisablehook is not _swallowed:
        global _hook
        _hook, sys.unraisablehook = sys.unraisablehook, _swallowed
    if sys.platform != "win32":  # `__main__` has kept them back
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT, *ending_signals()])


_raised: list[Interrupted] = []  # in this command


@contextmanager
def heard() -> Iterator[None]:
    """Raise the interrupt that was raised within, whatever has become of it: that error is no fault.

    It may have left half an import or half an answer behind; and of a function that SQL has called, SQLite
    tells no more than that it failed.
    """
    _raised.clear()
    try:
        yield
    except Exception:
        if _raised:
            raise _raised[0] from None
        raise
    finally:
        _raised.clear()  # its traceback keeps alive what closes, and tidies up, when it is let go


def _raise(number: int, frame: FrameType | None) -> None:
    interrupt = Interrupted(number)
    _raised.append(interrupt)
    raise interrupt


_hook = sys.unraisablehook


def _swallowed(unraisable: sys.UnraisableHookArgs) -> None:
    """Raise Interrupted once more where a destructor or a callback has swallowed it: they cannot raise."""
    if not isinstance(unraisable.exc_value, Interrupted):
        _hook(unraisable)
        return
    after = _AGAIN
    while after:
        try:
            # From another thread, and a moment later: here it would be swallowed again.
            threading.Timer(after, _send_again, unraisable.exc_value.args).start()
            after = 0.0
        except Interrupted:  # that moment was over before this thread went on
            after *= 2


def _send_again(number: int) -> None:
    if sys.platform == "win32":
        _thread.interrupt_main(number)
    else:  # which ends a wait of the main thread, too
        signal.pthread_kill(threading.main_thread().ident or 0, number)


def _say(words: str) -> None:
    """Write to stderr from a signal's handler."""
    try:
        echo(words, err=True)
    except RuntimeError:  # this thread was writing there, and Python does not let it begin again
        with suppress(OSError):
            os.write(sys.stderr.fileno(), f"{words}\n".encode())


@contextmanager
def interruptible(run: Interruptible) -> Iterator[None]:
    """Turn signals into `interrupt` while the context is open.

    A second one that comes when the run has just ended is not needed any more: it must not keep the
    counts from being said. The next one ends the command.
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
