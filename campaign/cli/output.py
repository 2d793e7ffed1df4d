"""What a command says: lines to stdout, problems and progress to stderr, attempts to a log file.

The mail does not depend on what is said of it: where nobody reads on, or a disk is full, it goes on.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

import click

from campaign.errors import Problem, Severity, UserError

if TYPE_CHECKING:
    from tqdm import tqdm

    from campaign.ledger import Claim
    from campaign.model import Result


def echo(line: str, *, err: bool = False) -> None:
    """Write a line to stdout or stderr, or to nowhere from when that cannot be written any more."""
    try:
        click.echo(line, err=err)
    except OSError:
        silence(sys.stderr if err else sys.stdout)


def silence(stream: TextIO) -> None:
    """Let what is written to a stream vanish, what it still holds too."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with suppress(OSError):  # it is no file
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


class Output:
    """How much is said: `quiet` leaves errors only, `verbose` names every attempt."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self.quiet = quiet
        self.verbose = verbose
        self.paced = False  # a rate says when sending ends; a bar's average does not know it
        self._bar: tqdm[Any] | None = None
        self._doing = ""
        self._lock = threading.Lock()

    def lines(self, lines: Iterable[str]) -> None:
        """Write to stdout."""
        if not self.quiet:
            self.end_bar()
            for line in lines:
                echo(_visible(line))

    def problems(self, problems: Iterable[Problem]) -> None:
        """Write warnings and errors to stderr."""
        self.end_bar()
        for problem in problems:
            if not self.quiet or problem.severity == "error":
                say(problem)

    def note(self, line: str) -> None:
        """Write a line to stderr, above a bar that is shown."""
        with self._lock:
            if self._bar is not None:
                with suppress(OSError):
                    self._bar.write(_visible(line), sys.stderr)
            else:
                echo(_visible(line), err=True)

    def waiting(self, seconds: float, why: str) -> None:
        """Write to stderr why nothing moves for a while."""
        from campaign.report.words import duration

        if not self.quiet:
            self.note(f"{why}; waiting {duration(seconds)}")

    def progress(self, doing: str, done: int, of: int) -> None:
        """Show how far something is, on stderr, where that is a terminal."""
        if self.quiet:
            return
        with self._lock:
            if self._bar is None or doing != self._doing:
                self._end()
                self._bar, self._doing = _bar(doing, of, self.paced), doing
            self._bar.total = of
            self._bar.update(done - self._bar.n)

    def beside_bar(self, words: str) -> None:
        """Show words beside the bar, and how much time has gone by."""
        with self._lock, suppress(OSError):
            if self._bar is not None:
                self._bar.set_postfix_str(_visible(words), refresh=False)
                self._bar.refresh()

    @property
    def shows_bar(self) -> bool:
        """Whether a bar stands on a terminal now."""
        return self._bar is not None and not self._bar.disable

    def end_bar(self) -> None:
        """Take the bar away."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def say(problem: Problem) -> None:
    """Write a problem to stderr."""
    text = _visible(str(problem))
    echo(text if problem.severity == "warning" else f"error: {text}", err=True)


class AttemptLog:
    """JSON lines, one for each attempt; appended, so that a campaign's runs stand in one file."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._file: TextIO | None = None

    def __enter__(self) -> AttemptLog:
        if self._path is not None:
            try:
                self._file = self._path.open("a", encoding="utf-8", buffering=1)
            except OSError as error:
                raise UserError(f"--log: {self._path} cannot be written: {error.strerror}") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()

    def write(self, claim: Claim, result: Result) -> None:
        """Write an attempt's line. A full disk does not stop the campaign: the ledger has it too."""
        from campaign.report.machine import attempt_line

        with self._lock:
            if self._file is None:
                return
            try:
                self._file.write(attempt_line(claim, result) + "\n")
            except OSError as error:
                what = f"{self._path} cannot be written any more: {error.strerror}; the ledger has it all"
                say(Problem(what, severity=Severity.WARNING))
                file, self._file = self._file, None
                with suppress(OSError):
                    file.close()


def _visible(text: str) -> str:
    """Show what a server or a cell has said, and let none of it steer the terminal."""
    from campaign.wording import visible_text

    return visible_text(text)


def _bar(doing: str, of: int, paced: bool) -> tqdm[Any]:
    from tqdm import tqdm

    octets = doing == "reading"
    by_rate = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"
    return tqdm(
        total=of,
        desc=doing,
        unit="B" if octets else " messages",
        unit_scale=octets,
        bar_format=by_rate if paced and doing == "sending" else None,
        disable=None,  # silent without a terminal
        leave=False,
        mininterval=0.2,
        dynamic_ncols=True,
    )
