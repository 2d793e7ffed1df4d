"""What can go wrong: problems with their places, and the exceptions that carry them.

Every mistake of a user becomes a `Problem`. Problems are collected, so that one run shows all of them,
and raised together as one `UserError` (exit code 2). Only `cli` prints them and exits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

# People count the entries of a list from 1; `path` counts them from 0, for programs.
_ENTRY = r"\.([0-9]+)(?=\.|$)"
_AFTER = r"(, entry [0-9]+)\."
_MOST_RANGES = 8
_BREAKS = str.maketrans({"\n": "\\n", "\r": "\\r", "\t": "\\t"})  # a column's name may contain them


class Severity(StrEnum):
    """How serious a problem is: only an error stops the campaign; a note is often intended."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows that have a problem: their count, and the first of them as ranges of row numbers."""

    count: int
    ranges: tuple[tuple[int, int], ...]

    def __contains__(self, row: int) -> bool:
        """Whether a row is in one of the ranges."""
        return any(first <= row <= last for first, last in self.ranges)

    @property
    def behind_first(self) -> Rows:
        """The same rows without the first one."""
        (first, last), *others = self.ranges
        return Rows(self.count - 1, ((first + 1, last), *others) if last > first else tuple(others))

    def __str__(self) -> str:
        parts = [f"{first}–{last}" if last > first else f"{first}" for first, last in self.ranges]
        more = self.count - sum(last - first + 1 for first, last in self.ranges)
        noun = "row" if self.count == 1 else "rows"
        return f"{noun} {', '.join(parts)}" + (f" and {more:,} more" if more else "")


@dataclass(slots=True)
class RowRanges:
    """Collects row numbers, which must not decrease: the first few ranges, and the count of all."""

    ranges: list[list[int]] = field(default_factory=list)
    count: int = 0
    full: bool = False

    def add(self, number: int) -> None:
        """Add a row; the same row again counts once."""
        if self.ranges and number == self.ranges[-1][1]:
            return
        self.count += 1
        if self.ranges and not self.full and number == self.ranges[-1][1] + 1:
            self.ranges[-1][1] = number
        elif len(self.ranges) < _MOST_RANGES:
            self.ranges.append([number, number])
        else:
            self.full = True

    @property
    def rows(self) -> Rows:
        """The rows collected so far."""
        return Rows(self.count, tuple((first, last) for first, last in self.ranges))


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: its place, what it is, and what to write instead.

    `line` and `column` count from 1; `path` is the dotted place in the campaign file (`smtp.port`).
    `rule` names the check that found it, if any. `row` is the number of the list's row that has it, and
    `row_line` the row's line in the list, if `line` is in another file. `same` replaces `message` when
    two rows are compared for having the same problem: it lacks the cell's own text. `rows` are all rows
    that have the problem, if several were looked at.
    """

    message: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    path: str = ""
    severity: Severity = Severity.ERROR
    rule: str = ""
    row: int | None = None
    row_line: int | None = None
    same: str = ""
    rows: Rows | None = None

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        severity = "" if self.severity is Severity.ERROR else self.severity
        path = re.sub(_ENTRY, lambda index: f", entry {int(index[1]) + 1}", self.path)
        path = re.sub(_AFTER, r"\1, ", path)
        said = ": ".join(part for part in (place, severity, path, self.message) if part).translate(_BREAKS)
        return said if self.row_line is None else f"{said} (row {self.row}, line {self.row_line} of the list)"


class CampaignError(Exception):
    """The root of the package's own exceptions."""


class UserError(CampaignError):
    """A mistake in the command, the campaign file, a template or the list; exit code 2."""

    def __init__(self, *problems: Problem | str) -> None:
        self.problems: tuple[Problem, ...] = tuple(
            Problem(problem) if isinstance(problem, str) else problem for problem in problems
        )
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def reword(self, change: Callable[[Problem], Problem]) -> None:
        """Replace each of its problems by a reworded one; the error itself stays the same object."""
        self.problems = tuple(map(change, self.problems))
        self.args = ("\n".join(str(problem) for problem in self.problems),)


class Overrun(UserError):
    """A template exceeded a row's limit of time or memory, or changed while it was in use.

    Rendering another row would fail in the same way.
    """


class Unequipped(UserError):
    """This machine lacks something that messages are made of; no row is at fault."""


class ConnectFailed(CampaignError):
    """No session could be opened: TCP, TLS, greeting, EHLO, STARTTLS or AUTH; exit code 6.

    `permanent` is true if another attempt cannot help, or does harm: a refused login, a certificate that
    does not verify, STARTTLS that is not offered. `path` is the key of the campaign file to look at
    (`smtp.ca_file`), if there is one.
    """

    def __init__(self, message: str, *, permanent: bool = False, path: str = "") -> None:
        self.permanent = permanent
        self.path = path
        super().__init__(message)


class ConnectionLost(CampaignError):
    """The connection ended under a session: reset, end of file, deadline, or a TLS failure."""


class ProtocolError(CampaignError):
    """The server's answer is not valid SMTP at this point; the session is out of sync and unusable."""


class LedgerFull(UserError):
    """The ledger cannot be written: the disk is full, or failing."""


class LedgerMoved(LedgerFull):
    """The ledger's path no longer leads to the file that was opened."""


class NotAccepted(UserError):
    """Something differs from an earlier run, and nobody can be asked about it; exit code 5."""


class LedgerBusy(UserError):
    """Another process kept the ledger locked for too long."""


class LedgerAway(UserError):
    """The ledger's server cannot be reached, or the connection to it broke; exit code 6."""


class LedgerReadOnly(LedgerAway):
    """The ledger's server takes no writes now, such as a standby before it takes over; exit code 2."""


class LedgerGivenUp(UserError):
    """The command was interrupted while it waited for the ledger's server; exit code 130."""


class LeaseHeld(UserError):
    """Another process is sending from this ledger; the message names its pid and host; exit code 7."""


class LeaseLost(CampaignError):
    """Another process has taken over the sender's lease: this one sends nothing more; exit code 5."""


class BrokenOff(CampaignError):
    """A run failed after a message had left; exit code 5, since the ledger knows its state."""


def raise_errors(problems: Iterable[Problem]) -> None:
    """Raise `UserError` with all the errors among `problems`, if there are any."""
    errors = [problem for problem in problems if problem.severity is Severity.ERROR]
    if errors:
        raise UserError(*errors)
