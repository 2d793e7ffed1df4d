"""`campaign suppress`: who gets nothing from any campaign of a ledger."""

from __future__ import annotations

import csv
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from campaign.cli.ledgers import opened
from campaign.errors import Problem, UserError
from campaign.wording import counted

if TYPE_CHECKING:
    from campaign.ledger import Suppression

_LEDGER = [
    click.option(
        "--campaign", "file", type=click.Path(path_type=Path), help="A campaign file that names the ledger."
    ),
    click.option(
        "--ledger", type=click.Path(path_type=Path), help="The ledger; ledger.db here without either."
    ),
]


def _of_a_ledger(function: click.decorators.FC) -> click.decorators.FC:
    for option in reversed(_LEDGER):
        function = option(function)
    return function


@click.group("suppress")
def command() -> None:
    """Keep the list of addresses and domains that get nothing from any campaign of a ledger.

    A change holds from the next message on, also while a send is running.
    """


@command.command("add")
@click.argument("patterns", nargs=-1, required=True, metavar="ADDRESS|DOMAIN...")
@click.option("--reason", default="by hand", help="Why; kept with the entry.")
@_of_a_ledger
def add(patterns: tuple[str, ...], reason: str, file: Path | None, ledger: Path | None) -> int:
    """Add addresses, or whole domains (example.com)."""
    from campaign.ledger import Suppression

    now = time.time_ns()
    with opened(file, ledger, create=True) as book:
        new, rows = book.suppressions.add([Suppression(p, reason, now) for p in _parsed(patterns)])
    click.echo(f"{new} added; {_suppressed(rows)}")
    return 0


@command.command("remove")
@click.argument("patterns", nargs=-1, metavar="[ADDRESS|DOMAIN]...")
@click.option("--run", type=int, help="All that this run has added; `suppress list` shows the number.")
@click.option("--reason", help="All whose reason contains this text.")
@_of_a_ledger
def remove(
    patterns: tuple[str, ...], run: int | None, reason: str | None, file: Path | None, ledger: Path | None
) -> int:
    """Remove entries; the next send mails these again."""
    if bool(patterns) + (run is not None) + bool(reason) != 1:
        raise UserError("name entries, or --run, or --reason: one of them")
    with opened(file, ledger) as book:
        if not patterns:
            count = book.suppressions.remove_made_by(run=run, reason=reason)
            click.echo(f"{count} removed")
            return 0
        missing = book.suppressions.remove(_parsed(patterns))
    if missing:
        raise UserError(*(f"{pattern} was not on the list" for pattern in missing))
    click.echo(f"{len(patterns)} removed")
    return 0


@command.command("list")
@_of_a_ledger
def show(file: Path | None, ledger: Path | None) -> int:
    """List the entries, with reason and date."""
    from campaign.report.words import clock

    with opened(file, ledger, read_only=True) as book:
        for entry in book.suppressions:
            made_by = f"  run {entry.run}" if entry.run is not None else ""
            held = f"  (held: for {entry.held_for} alone)" if entry.held_for else ""
            click.echo(f"{entry.pattern}  {clock(entry.added_at)}{made_by}  {entry.reason}{held}")
    return 0


@command.command("export")
@_of_a_ledger
def export(file: Path | None, ledger: Path | None) -> int:
    """Write the entries as a CSV that `import` reads."""
    from campaign.report.machine import iso

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["address", "reason", "added_at"])
    with opened(file, ledger, read_only=True) as book:
        for entry in book.suppressions:
            writer.writerow([entry.pattern, entry.reason, iso(entry.added_at)])
    return 0


@command.command("import")
@click.argument("table", metavar="CSV", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@_of_a_ledger
def import_(table: Path, file: Path | None, ledger: Path | None) -> int:
    """Add the entries of a CSV: the column address (or email), and reason and added_at if they are there."""
    entries = _read(table)
    with opened(file, ledger, create=True) as book:
        new, rows = book.suppressions.add(entries)
    click.echo(f"{new} added, {len(entries) - new} were there; {_suppressed(rows)}")
    return 0


def _suppressed(rows: int) -> str:
    return f"{counted(rows, 'waiting row is', 'waiting rows are')} suppressed by it"


def _parsed(patterns: tuple[str, ...]) -> list[str]:
    from campaign.address import AddressError
    from campaign.ledger import parse_pattern

    parsed, problems = [], []
    for pattern in patterns:
        try:
            parsed.append(parse_pattern(pattern))
        except AddressError as error:
            problems.append(Problem(f"{pattern!r}: {error}"))
    if problems:
        raise UserError(*problems)
    return parsed


def _time(text: str) -> int:
    """Return an ISO 8601 time as UTC ns; without a zone it is UTC. Raises ValueError."""
    from datetime import UTC, datetime

    time = datetime.fromisoformat(text)
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1e9)


def _read(table: Path) -> list[Suppression]:
    from campaign.address import AddressError
    from campaign.ledger import Suppression, parse_pattern

    now = time.time_ns()
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
                    time_ns = _time(added) if added else now
                    pattern = parse_pattern(row[column] or "")
                    entries.append(Suppression(pattern, row.get("reason") or "imported", time_ns))
                except AddressError as error:
                    problems.append(Problem(str(error), str(table), line))
                except ValueError:
                    problems.append(Problem(f"added_at: {added!r} is no time", str(table), line))
    except (csv.Error, UnicodeDecodeError) as error:
        problems.append(Problem(f"the CSV cannot be read: {error}", str(table)))
    if problems:
        raise UserError(*problems)
    return entries
