"""Write to the terminal: all output of commands to stdout and stderr goes through this module.

Control and bidirectional characters are made visible (`campaign.wording`), because names, cells and replies
are untrusted, and must not control the terminal. In JSON they become JSON escapes.

A CSV on stdout is data for a program: it is written unchanged, in UTF-8. Only on a terminal are control
characters in it made visible too.

Sending continues even if its output cannot be written, because of a closed pipe or a full disk.
"""

from __future__ import annotations

import io
import os
import select
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

import click

from campaign.errors import Problem, Severity
from campaign.wording import shortened, visible_json, visible_text

_LONGEST = 2000  # characters of a problem

if TYPE_CHECKING:
    from tqdm import tqdm


def echo(text: str, *, err: bool = False) -> None:
    """Write text and a line feed to stdout or stderr.

    If stderr cannot be written any more, the rest is discarded. If stdout cannot, OSError is raised, which
    ends a command whose purpose is to print; `Output.lines` of a command that sends continues without it.
    """
    try:
        click.echo(visible_text(text), err=err)
    except OSError:
        if not err:
            raise
        silence(sys.stderr)


def echo_json(value: object) -> None:
    """Write a value to stdout as JSON."""
    import json

    click.echo(visible_json(json.dumps(value, ensure_ascii=False, indent=2)))


def echo_error(error: click.ClickException) -> None:
    """Write an error of the command line, and its usage, to stderr."""
    said = io.StringIO()
    error.show(said)
    echo(said.getvalue().rstrip("\n"), err=True)


def ask(question: str) -> bool:
    """Ask a question at the terminal; the answer is no by default. Raises click.Abort."""
    try:
        return click.confirm(visible_text(question), err=True)
    except click.Abort:
        echo("", err=True)  # ends the line with the question and ^C; click does that only in other cases
        raise


def page(text: str) -> None:
    """Show text in a pager, if stdout is a terminal."""
    click.echo_via_pager(visible_text(text))


def clear() -> None:
    """Clear the screen, if stdout is a terminal."""
    click.clear()


def silence(stream: TextIO) -> None:
    """Discard a stream's buffer, and everything that is written to it from now on."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with suppress(OSError):  # it is not a file
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def is_stuck(stream: TextIO) -> bool:
    """Whether writing to a stream would block: a pager that waits, a terminal after Ctrl-S."""
    if sys.platform == "win32":
        return False
    try:
        return not select.select([], [stream], [], 0)[1]
    except (OSError, ValueError):  # it is not a file
        return False


class Data:
    """Stdout for data, such as from `csv.writer`: unchanged and in UTF-8, except on a terminal."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()

    def write(self, text: str) -> int:
        """Write text; return its length."""
        if self._terminal:
            sys.stdout.write(visible_text(text))
        else:
            # Not through the text layer: it would encode for the locale and, on Windows, change line ends.
            sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
        return len(text)


class Output:
    """The output of one command: with `quiet` only errors, with `verbose` every attempt.

    `must_write`: the command's purpose is to print, so `lines` raises OSError if stdout cannot be written.
    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False, must_write: bool = False) -> None:
        self.quiet = quiet
        self.verbose = verbose
        self._must_write = must_write
        self.paced = False  # with a rate, the bar's own estimate of the end would be wrong
        self._bar: tqdm[Any] | None = None
        self._doing = ""
        self._lock = threading.Lock()
        context = click.get_current_context(silent=True)
        if context is not None:  # remove the bar if the command ends with an exception
            context.call_on_close(self.end_bar)

    def lines(self, lines: Iterable[str]) -> None:
        """Write to stdout. Raises OSError where `must_write`."""
        if not self.quiet:
            self.end_bar()
            for line in lines:
                try:
                    echo(line)
                except OSError:
                    if self._must_write:
                        raise
                    silence(sys.stdout)

    def problems(self, problems: Iterable[Problem]) -> None:
        """Write warnings and errors to stderr."""
        self.end_bar()
        for problem in problems:
            if not self.quiet or problem.severity is Severity.ERROR:
                say(problem)

    def note(self, line: str) -> None:
        """Write a line to stderr, above a bar that is shown."""
        with self._lock:
            if self._bar is not None:
                with suppress(OSError):
                    self._bar.write(visible_text(line), sys.stderr)
            else:
                echo(line, err=True)

    def waiting(self, seconds: float, why: str) -> None:
        """Write to stderr how long sending waits, and why."""
        from campaign.report.words import duration

        if not self.quiet:
            self.note(f"{why}; waiting {duration(seconds)}")

    def without_window(self, why: str) -> None:
        """Write to stderr that messages are sent one at a time, although the campaign file sets a window."""
        if not self.quiet:
            self.note(f"smtp.window is not used: {why}")

    def progress(self, doing: str, done: int, of: int) -> None:
        """Show a progress bar on stderr, if that is a terminal."""
        if self.quiet or not sys.stderr.isatty():
            return
        with self._lock:
            if self._bar is None or doing != self._doing:
                self._end()
                self._bar, self._doing = _bar(doing, of, self.paced), doing
            self._bar.total = of
            self._bar.update(done - self._bar.n)

    def beside_bar(self, words: str) -> None:
        """Show words beside the bar, and the elapsed time."""
        with self._lock, suppress(OSError):
            if self._bar is not None:
                self._bar.set_postfix_str(visible_text(words), refresh=False)
                self._bar.refresh()

    @property
    def shows_bar(self) -> bool:
        """Whether a bar is shown on a terminal now."""
        return self._bar is not None and not self._bar.disable

    def end_bar(self) -> None:
        """Remove the progress bar."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def say(problem: Problem) -> None:
    """Write a problem to stderr, without its middle if it is very long, such as with a quoted cell."""
    text = shortened(str(problem), _LONGEST)
    echo(f"error: {text}" if problem.severity is Severity.ERROR else text, err=True)


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
        **_width(),
    )


def _width() -> dict[str, Any]:
    """Return the width of a bar: the terminal's, or 80 columns if that is 0."""
    try:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):  # it is not a terminal
        columns = 0
    return {"dynamic_ncols": True} if columns else {"ncols": 80}
