"""`campaign suppress`: manage the addresses that get nothing from any campaign of a ledger."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from campaign.cli.codes import OK
from campaign.cli.groups import WholeLines
from campaign.cli.ledgers import opened, own_files
from campaign.cli.options import FORCE, WRITTEN, of_a_ledger
from campaign.cli.output import Data, echo
from campaign.errors import UserError
from campaign.wording import counted, visible

if TYPE_CHECKING:
    from campaign.campaignfile.location import Location

_NAMED = 10  # refused lines of an import that are shown
_OF_CAMPAIGN = click.argument("campaign", required=False, metavar="[FILE]", type=click.Path(path_type=Path))


@click.group("suppress", cls=WholeLines)
def command() -> None:
    """Manage the list of addresses and domains that get nothing from any campaign of a ledger.

    A change takes effect with the next message, even during a send.
    """


@command.command("add")
@click.argument("patterns", nargs=-1, required=True, metavar="ADDRESS|DOMAIN...")
@click.option("--reason", default="by hand", help="Why; kept with the entry.")
@of_a_ledger
def add(patterns: tuple[str, ...], reason: str, file: Path | None, ledger: Location | None) -> int:
    """Add addresses, or whole domains: example.com, or '*@example.com'.

    A domain does not include its subdomains.
    """
    from campaign.ledger import Suppression, described
    from campaign.ledger.imports import parse_patterns

    _refuse_files(patterns)
    now = time.time_ns()
    entries = [Suppression(pattern, reason, now) for pattern in parse_patterns(patterns)]
    with opened(file, ledger, create=True) as book:
        new, rows = book.suppressions.add(entries)
    for entry in entries:
        echo(f"{described(entry.pattern)}: {'added' if entry.pattern in new else 'was on the list'}")
    echo(f"{len(new):,} added; {_suppressed(rows)}")
    return OK


@command.command("remove")
@click.argument("patterns", nargs=-1, metavar="[ADDRESS|DOMAIN]...")
@click.option("--run", type=int, help="All entries that this run added; `suppress list` shows its number.")
@click.option("--reason", help="All entries whose reason contains this text.")
@of_a_ledger
def remove(
    patterns: tuple[str, ...], run: int | None, reason: str | None, file: Path | None, ledger: Location | None
) -> int:
    """Remove entries; the next send mails these addresses again."""
    from campaign.ledger.imports import parse_patterns

    reason = reason.strip() if reason is not None else None  # nearly every reason contains a space
    if bool(patterns) + (run is not None) + bool(reason) != 1:
        raise UserError("give exactly one of: entries, --run, --reason")
    _refuse_files(patterns)
    with opened(file, ledger) as book:
        if not patterns:
            count = book.suppressions.remove_made_by(run=run, reason=reason)
            echo(f"{count:,} removed")
            return OK
        missing = book.suppressions.remove(parse_patterns(patterns))
    if missing:
        raise UserError(*(f"{pattern} was not on the list" for pattern in missing))
    echo(f"{len(patterns):,} removed")
    return OK


@command.command("list")
@_OF_CAMPAIGN
@click.option("--reason", default="", help="Only entries whose reason contains this text.")
@of_a_ledger
def show(campaign: Path | None, reason: str, file: Path | None, ledger: Location | None) -> int:
    """List the entries of the ledger of FILE's campaign, with reason and date."""
    from campaign.report.words import clock

    shown = 0
    with opened(_one(campaign, file), ledger, read_only=True) as book:
        for entry in book.suppressions:
            if reason.lower() not in entry.reason.lower():
                continue
            shown += 1
            of = f"  {entry.campaign}" if entry.campaign else ""
            made_by = f"  run {entry.run}" if entry.run is not None else ""
            held = f"  (held: for {entry.held_for} alone)" if entry.held_for else ""
            echo(visible(f"{entry.pattern}  {clock(entry.added_at)}{of}{made_by}  {entry.reason}{held}"))
    if not shown:
        echo(f"no entry's reason contains {reason!r}" if reason else "the list has no entries", err=True)
    return OK


@command.command("export")
@_OF_CAMPAIGN
@click.option("--output", "-o", type=WRITTEN, help="A file to write, instead of stdout.")
@FORCE
@of_a_ledger
def export(
    campaign: Path | None, output: Path | None, force: bool, file: Path | None, ledger: Location | None
) -> int:
    """Write the entries as a CSV that `import` reads, without those for one campaign only.

    An earlier list is overwritten; any other file only with --force, and the campaign's own files never.
    It is written unchanged, in UTF-8; control characters are made visible only on a terminal.
    """
    from campaign.report.suppressed import LIST, write

    file = _one(campaign, file)
    with opened(file, ledger, read_only=True) as book:
        if output is None:
            _, held = write(Data(), book.suppressions)
        else:
            from campaign.outfile import writing

            with writing(output, LIST, own_files(file, ledger), force=force) as octets:
                text = io.TextIOWrapper(octets, "utf-8", errors="backslashreplace", newline="")
                count, held = write(text, book.suppressions)
                text.detach()  # this flushes; `writing` closes the file
            echo(f"{output}: {counted(count, 'entry', 'entries')}", err=True)
    if held:
        entries = counted(held, "entry", "entries")
        echo(f"left out: {entries} for one campaign only, until you have judged them", err=True)
    return OK


@command.command("import")
@click.argument("table", metavar="TABLE", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--column", metavar="NAME", help="The column that holds the addresses.")
@click.option("--encoding", metavar="NAME", help="The CSV's encoding, such as cp1252, if it is not UTF-8.")
@of_a_ledger
def import_(
    table: Path, column: str | None, encoding: str | None, file: Path | None, ledger: Location | None
) -> int:
    """Add the entries of TABLE, a CSV or .xlsx: our own export, or what another tool has exported.

    It may have no header, and be separated by commas, semicolons or tabs. The columns reason and
    added_at are read if they are there.
    """
    from campaign.ledger import described
    from campaign.ledger.imports import read_suppressions
    from campaign.ledger.patterns import is_hash

    entries = read_suppressions(table, time.time_ns(), column, encoding)
    with opened(file, ledger, create=True) as book:
        new, rows = book.suppressions.add(entries)
    for pattern in new[:_NAMED]:
        echo(f"{described(pattern)}: added")
    if len(new) > _NAMED:
        echo(f"and {len(new) - _NAMED:,} more")
    echo(f"{len(new):,} added, {len(entries) - len(new):,} were there; {_suppressed(rows)}")
    if hashes := sum(map(is_hash, new)):
        people = counted(
            hashes, "is the hash of somebody who was forgotten", "are hashes of forgotten people"
        )
        echo(f"{people}: a hash names them in the ledger that made it, and nobody in any other", err=True)
    return OK


def _one(campaign: Path | None, file: Path | None) -> Path | None:
    """Return the campaign file, given as FILE or --campaign. Raises UserError."""
    if campaign is not None and file is not None:
        raise UserError("give the campaign file only once, as FILE or with --campaign")
    return campaign or file


def _refuse_files(patterns: tuple[str, ...]) -> None:
    """Raise UserError for the names of existing files: `campaign.yaml` would be taken for a domain."""
    files = [pattern for pattern in patterns if Path(pattern).is_file()]
    if files:
        raise UserError(
            *(f"{name} is a file; if it names the campaign, write --campaign {name}" for name in files)
        )


def _suppressed(rows: int) -> str:
    return f"{counted(rows, 'waiting row is', 'waiting rows are')} suppressed by it"
