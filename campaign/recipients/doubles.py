"""Report rows that have the key of an earlier row.

Such a row is left out. If its message has the same content and attachments as the first one's, that is a
warning. Otherwise it may be a different letter, which nobody would get: an error that names the key to write.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from campaign.address import fold
from campaign.errors import Problem
from campaign.model import Double, Recipient
from campaign.recipients.list import Recipients


def left_out(double: Double, file: str) -> Problem:
    """Return the warning that a row is left out."""
    whose = "" if fold(double.email) == double.key else f", {double.email},"
    what = f"{double.key!r} is already in line {double.first}; this row{whose} is left out"
    what += " (write a `key` if each row is a letter of its own)"
    return Problem(what, file, double.line)


def differing(
    recipients: Recipients, doubles: Sequence[Double], shown: Collection[str], attached: Collection[str]
) -> list[Problem]:
    """Return an error for each of these doubles, with the columns in which it differs.

    `shown` are the columns that messages show, `attached` those that name attachments. Reads the list again.
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
    """Return the columns in which the messages of two rows differ, in the list's order."""
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
    what = f"{double.key!r} is already in line {double.first}, with another message"
    if columns:
        what = f"{double.key!r} is already in line {double.first}, with another {' and '.join(columns)}"
        best = next((column for column in columns if column in attached), columns[0])
        by_address = settings.key == (settings.email,)
        key = best if by_address else f"[{', '.join((*settings.key, best))}]"
        hint = f"; correct the list, or write `key: {key}` if each row is a letter of its own"
    else:
        hint = "; correct the list, or write a `key` that differs if each row is a letter of its own"
    return Problem(what + hint, recipients.file, double.line)
