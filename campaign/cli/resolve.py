"""`campaign resolve`: what is in doubt, and a person's decision about it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from campaign.errors import UserError

if TYPE_CHECKING:
    from campaign.ledger import CopyEntry, Entry, Ledger


@click.command("resolve")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("addresses", nargs=-1, metavar="[ADDRESS]...")
@click.option("--accepted", is_flag=True, help="These arrived: never send to them again.")
@click.option("--pending", is_flag=True, help="These did not arrive: the next send mails them.")
@click.option("--all", "everybody", is_flag=True, help="All that are in doubt.")
@click.option(
    "--from-log",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A Postfix or Exim log; what it says was sent is accepted.",
)
def command(
    file: Path,
    addresses: tuple[str, ...],
    accepted: bool,
    pending: bool,
    everybody: bool,
    from_log: Path | None,
) -> int:
    """List what is in doubt in FILE's campaign: sent, with no answer read; or settle it.

    \b
    campaign resolve FILE
    campaign resolve FILE --accepted anna@example.com ben@example.com
    campaign resolve FILE --pending --all
    campaign resolve FILE --from-log /var/log/mail.log
    """
    from campaign.campaignfile.identity import identify
    from campaign.ledger import Ledger

    if accepted + pending + (from_log is not None) > 1:
        raise UserError("give one of --accepted, --pending and --from-log")
    if (addresses or everybody) and not (accepted or pending):
        raise UserError("say what is true of them: --accepted or --pending")
    if (accepted or pending) and not (addresses or everybody):
        raise UserError("say whose: addresses, or --all")
    campaign = identify(file)
    ledger = Ledger.open(campaign.ledger, campaign.name, create=False)
    try:
        doubtful = _doubtful(ledger)
        if from_log is not None:
            _from_log(ledger, doubtful, from_log)
        elif accepted or pending:
            _settle(ledger, doubtful, addresses, accepted=accepted)
        else:
            _list(doubtful, file)
    finally:
        ledger.close()
    return 0


def _doubtful(ledger: Ledger) -> list[Entry]:
    from campaign.model import Status

    now = time.time_ns()
    rows = list(ledger.history.entries(now, [Status.IN_DOUBT]))
    # One answer was due for a row and its copies: what settles the row settles them.
    by_key = {entry.key for entry in rows}
    for copy in ledger.history.copies(now, [Status.IN_DOUBT]):
        if copy.key not in by_key:
            rows.append(_as_entry(copy))
    return rows


def _as_entry(copy: CopyEntry) -> Entry:
    """Show a copy as a row of its own."""
    from campaign.ledger import Entry, copy_key

    key = copy_key(copy.key, copy.address)
    return Entry(0, key, copy.address, "", copy.status, 0, copy.reply, copy.message_id, None, None, {})


def _list(doubtful: list[Entry], file: Path) -> None:
    from campaign.report.words import clock

    if not doubtful:
        click.echo("nothing is in doubt")
        return
    for entry in doubtful:
        began = clock(entry.started_at) if entry.started_at is not None else "?"
        click.echo(f"{entry.email or '(forgotten)'}  {began}  {entry.message_id}  {entry.reply}")
    click.echo(f"\n{len(doubtful)} may have arrived. Look for their Message-IDs at the server, then:")
    click.echo(f"  campaign resolve {file} --accepted ADDRESS...   they arrived")
    click.echo(f"  campaign resolve {file} --pending ADDRESS...    they did not; the next send mails them")
    click.echo(f"  campaign resolve {file} --from-log MAIL.LOG     let the server's log decide")


def _settle(ledger: Ledger, doubtful: list[Entry], addresses: tuple[str, ...], *, accepted: bool) -> None:
    from campaign.address import fold
    from campaign.model import Status

    wanted = {fold(address) for address in addresses}
    chosen = [
        entry for entry in doubtful if not addresses or fold(entry.email) in wanted or entry.key in wanted
    ]
    missing = wanted - {fold(entry.email) for entry in chosen} - {entry.key for entry in chosen}
    if missing:
        raise UserError(*(f"{address} is not in doubt; nothing was changed" for address in sorted(missing)))
    status = Status.ACCEPTED if accepted else Status.PENDING
    words = "settled by hand: " + ("it arrived" if accepted else "it did not arrive")
    count = ledger.settle_doubt(status, [entry.key for entry in chosen], words, time.time_ns())
    click.echo(f"{count} settled as {status}")


def _from_log(ledger: Ledger, doubtful: list[Entry], log: Path) -> None:
    from campaign.feedback.maillog import delivered
    from campaign.model import Status

    try:
        with log.open(encoding="utf-8", errors="replace") as lines:
            found = delivered(lines)
    except OSError as error:
        raise UserError(f"{log} cannot be read: {error.strerror}") from None
    keys = [entry.key for entry in doubtful if entry.message_id in found]
    words = f"settled by the server's log {log.name}: it was sent"
    count = ledger.settle_doubt(Status.ACCEPTED, keys, words, time.time_ns())
    click.echo(
        f"{count} settled as accepted; {len(doubtful) - count} are not in {log.name} and stay in doubt"
    )
