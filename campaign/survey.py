"""What preparing a send finds out about the list and its messages: problems, blank cells, sizes, addresses.

Memory stays flat: problems are kept up to a limit, and only counted beyond it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from campaign.delivery import Message
from campaign.errors import Problem, RowRanges, Rows
from campaign.message.drafts import Looked
from campaign.model import Recipient

MOST_SHOWN = 50
"""How many faults of a file are shown."""

_ENDING = re.compile(r"\.[a-z0-9]{1,5}")
_MOST_ENDINGS = 100


class Tally:
    """The problems of rows, for the first faults of each file; equal ones once, with their rows.

    Two problems are equal if place and text are equal, or, for problems at the rows' own lines, the text.
    `count` counts all problems.
    """

    def __init__(self) -> None:
        self.count = 0
        self._faults: dict[tuple[object, ...], tuple[Problem, RowRanges]] = {}
        self._kept: Counter[str | None] = Counter()
        self._beyond = 0

    def add(self, problems: Iterable[Problem]) -> None:
        """Add problems; rows must come in the list's order."""
        for problem in problems:
            self.count += 1
            of_the_line = problem.row is not None and problem.row_line is None
            place = (problem.file, None if of_the_line else problem.line, problem.column, problem.path)
            fault = (*place, problem.severity, problem.rule, problem.same or problem.message)
            if fault not in self._faults:
                if self._kept[problem.file] >= MOST_SHOWN:
                    self._beyond += 1
                    continue
                self._kept[problem.file] += 1
                self._faults[fault] = problem, RowRanges()
            if problem.row is not None:
                self._faults[fault][1].add(problem.row)

    def add_unseen(self, count: int) -> None:
        """Count problems that are not shown."""
        self.count += count
        self._beyond += count

    @property
    def shown(self) -> list[Problem]:
        """The problems, sorted by file and line."""
        files = list(self._kept)
        found = [_with_rows(problem, rows) for problem, rows in self._faults.values()]
        return sorted(found, key=lambda p: (files.index(p.file), p.line or 0, p.column or 0))

    @property
    def beyond(self) -> int:
        """How many problems are not in `shown`."""
        return self._beyond


def _with_rows(problem: Problem, ranges: RowRanges) -> Problem:
    if not ranges.count:
        return problem
    rows = ranges.rows
    if rows.count == 1:
        return replace(problem, rows=rows)
    where = f"row {problem.row}; similarly in {rows.behind_first}" if problem.same else str(rows)
    return replace(problem, message=f"{problem.message} ({where})", row_line=None, rows=rows)


@dataclass(slots=True)
class Blank:
    """The rows in which a column is blank; the first of them is at `line`."""

    ranges: RowRanges = field(default_factory=RowRanges)
    line: int = 0

    @property
    def rows(self) -> Rows:
        """The rows."""
        return self.ranges.rows

    def see(self, row: Recipient) -> None:
        """Add a row."""
        self.ranges.add(row.number)
        self.line = self.line or row.line


@dataclass(slots=True)
class Survey:
    """Statistics of the list and its messages; sizes in octets.

    `doubles` are rows that are left out because an earlier row has their key; `duplicates` are the
    warnings about those that would get the same message. `addresses` counts envelope addresses: cc and bcc
    are mails too. `suppressed_copies`, which are left out, are not in it. `blank` has the columns that a
    template prints, `no_file` those that name an attachment, by column and the attachment's number.
    `endings`: (number of an attachment, ending of its path, ending of its name) → the rows with such a
    file; the name's is None if the file has its own. `first` is the first message.
    """

    rows: int = 0
    messages: int = 0
    addresses: int = 0
    suppressed_copies: int = 0
    largest: int = 0
    smtputf8: int = 0
    bad: Tally = field(default_factory=Tally)
    duplicates: Tally = field(default_factory=Tally)
    doubles: int = 0
    blank: dict[str, Blank] = field(default_factory=dict)
    no_file: dict[tuple[int, str], Blank] = field(default_factory=dict)
    endings: dict[tuple[int, str, str | None], RowRanges] = field(default_factory=dict)
    first: Message | None = None
    first_recipient: Recipient | None = None

    def see(self, recipient: Recipient, looked: Looked) -> None:
        """Add a row's message."""
        self.messages += 1
        self.addresses += looked.addresses
        self.largest = max(self.largest, looked.size)
        self.smtputf8 += looked.smtputf8
        self.first_recipient = self.first_recipient or recipient
        for number, path, name in looked.named:
            key = number, ending(path), ending(name) if name else None
            if key in self.endings or len(self.endings) < _MOST_ENDINGS:
                self.endings.setdefault(key, RowRanges()).add(recipient.number)


def ending(name: str) -> str:
    """Return the ending of a file's name in lower case, such as ".pdf"; "" for none, as in "No. 7"."""
    suffix = PurePosixPath(name.rstrip()).suffix.lower()
    return suffix if _ENDING.fullmatch(suffix) else ""
