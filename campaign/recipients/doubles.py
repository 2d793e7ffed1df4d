"""Rows of the list whose key an earlier row has: what is said of them.

Such a row is left out. If its message says or attaches the same as the first one's, that is a warning;
else it may be a letter of its own, which nobody would get: an error that names the key to write.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from campaign.address import fold
from campaign.errors import Problem
from campaign.model import Double, Recipient
from campaign.recipients.list import Recipients


def left_out(double: Double, file: str) -> Problem:
    """Say that a row is left out."""
    whose = "" if fold(double.email) == double.key else f", {double.email},"
    what = f"{double.key!r} stands in line {double.first} already; this row{whose} is left out"
    what += " (write a `key` if each is a letter of its own)"
    return Problem(what, file, double.line)


def differing(
    recipients: Recipients, doubles: Sequence[Double], shown: Collection[str], attached: Collection[str]
) -> list[Problem]:
    """Return an error for each of these doubles, with the columns in which it differs.

    Messages show the columns `shown`, and attach files by those `attached`. Reads the list once more.
    """
    wanted = {line for double in doubles for line in (double.line, double.first)}
    rows: dict[int, Recipient] = {}
    for row in recipients:
        if row.line in wanted and isinstance(row, Recipient):
            rows[row.line] = row
            if len(rows) == len(wanted):
                break
    problems = []
    for double in doubles:
        first, later = rows.get(double.first), rows.get(double.line)
        columns = _columns(recipients, first, later, shown) if first and later else []
        problems.append(_problem(recipients, double, columns, attached))
    return problems


def _columns(recipients: Recipients, first: Recipient, later: Recipient, shown: Collection[str]) -> list[str]:
    """Return the columns in which two rows' messages differ, in the list's order."""
    looked_at = set(shown)
    if fold(first.email) != fold(later.email):
        looked_at |= recipients.email_columns
    return [
        column
        for column in recipients.columns
        if column in looked_at and first.row[column].strip() != later.row[column].strip()
    ]


def _problem(
    recipients: Recipients, double: Double, columns: list[str], attached: Collection[str]
) -> Problem:
    settings = recipients.settings
    what = f"{double.key!r} stands in line {double.first} already, with another message"
    if columns:
        what = f"{double.key!r} stands in line {double.first} already, with another {' and '.join(columns)}"
        best = next((column for column in columns if column in attached), columns[0])
        by_address = settings.key == (settings.email,)
        key = best if by_address else f"[{', '.join((*settings.key, best))}]"
        hint = f"; correct the list, or write `key: {key}` if each is a letter of its own"
    else:
        hint = "; correct the list, or write a `key` that tells them apart if each is a letter of its own"
    return Problem(what + hint, recipients.file, double.line)
