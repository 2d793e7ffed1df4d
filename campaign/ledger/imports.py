"""What a person or a CSV gives for the suppression list → patterns and entries, or every mistake in it."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from campaign.address import AddressError
from campaign.errors import Problem, UserError
from campaign.ledger.patterns import parse_pattern
from campaign.ledger.protocols import Suppression


def parse_patterns(texts: Iterable[str]) -> list[str]:
    """Return the patterns for addresses and domains. Raises UserError with what is wrong with each."""
    parsed, problems = [], []
    for text in texts:
        try:
            parsed.append(parse_pattern(text))
        except AddressError as error:
            problems.append(Problem(f"{text!r}: {error}"))
    if problems:
        raise UserError(*problems)
    return parsed


def read_suppressions(table: Path, now: int) -> list[Suppression]:
    """Read a CSV with a column `address` or `email`, and `reason` and `added_at` if they are there.

    An entry without a time was added `now`, UTC ns. Raises UserError with every problem.
    """
    entries: list[Suppression] = []
    problems: list[Problem] = []
    try:
        with table.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, strict=True)
            column = next((name for name in ("address", "email") if name in (reader.fieldnames or ())), None)
            if column is None:
                raise UserError(Problem("the CSV has no column `address` or `email`", str(table), 1))
            for row in reader:
                line = reader.line_num
                try:
                    added = row.get("added_at") or ""
                    added_at = _time(added) if added else now
                    pattern = parse_pattern(row[column] or "")
                    entries.append(Suppression(pattern, row.get("reason") or "imported", added_at))
                except AddressError as error:
                    problems.append(Problem(str(error), str(table), line))
                except ValueError:
                    problems.append(Problem(f"added_at: {added!r} is no time", str(table), line))
    except OSError as error:
        problems.append(Problem(f"the CSV cannot be read: {error.strerror}", str(table)))
    except (csv.Error, UnicodeDecodeError) as error:
        problems.append(Problem(f"the CSV cannot be read: {error}", str(table)))
    if problems:
        raise UserError(*problems)
    return entries


def _time(text: str) -> int:
    """Return an ISO 8601 time as UTC ns; without a zone it is UTC. Raises ValueError."""
    time = datetime.fromisoformat(text)
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1e9)
