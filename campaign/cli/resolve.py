"""`campaign resolve`: what is in doubt, and a person's decision about it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from campaign.cli.codes import OK
from campaign.cli.output import echo
from campaign.errors import UserError
from campaign.wording import counted

if TYPE_CHECKING:
    from campaign.ledger import Entry, Ledger


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
@click.option(
    "--nothing-missing", is_flag=True, help="This copy of the ledger is complete: nothing was sent since."
)
def command(
    file: Path,
    addresses: tuple[str, ...],
    accepted: bool,
    pending: bool,
    everybody: bool,
    from_log: Path | None,
    nothing_missing: bool,
) -> int:
    """List or settle what is in doubt in FILE's campaign: sent, but no answer was read.

    \b
    campaign resolve FILE
    campaign resolve FILE --accepted anna@example.com ben@example.com
    campaign resolve FILE --pending --all
    campaign resolve FILE --from-log /var/log/mail.log
    """
    from campaign.campaignfile.identity import identify
    from campaign.ledger import Ledger
    from campaign.ledger.doubt import doubtful, named

    if accepted + pending + (from_log is not None) > 1:
        raise UserError("give one of --accepted, --pending and --from-log")
    if (addresses or everybody) and not (accepted or pending):
        raise UserError("say what became of them: --accepted or --pending")
    if (accepted or pending) and not (addresses or everybody):
        raise UserError("name addresses or keys, or --all")
    campaign = identify(file)
    ledger = Ledger.open(campaign.ledger, campaign.name, create=False)
    try:
        rows = doubtful(ledger.history, time.time_ns())
        if nothing_missing:
            ledger.complete()
            echo("the ledger counts as complete")
        elif from_log is not None:
            _from_log(ledger, campaign.name, rows, from_log)
        elif accepted or pending:
            _settle(ledger, named(rows, addresses) if addresses else rows, accepted=accepted)
        else:
            _list(rows, file)
    finally:
        ledger.close()
    return OK


def _list(doubtful: list[Entry], file: Path) -> None:
    from campaign.report.words import clock

    if not doubtful:
        echo("nothing is in doubt")
        return
    for entry in doubtful:
        began = clock(entry.started_at) if entry.started_at is not None else "?"
        echo(f"{entry.email or '(forgotten)'}  {began}  {entry.message_id}  {entry.reply}")
    which = "its Message-ID" if len(doubtful) == 1 else "their Message-IDs"
    echo(f"\n{len(doubtful):,} may have arrived. Look for {which} at the server, then:")
    echo(f"  campaign resolve {file} --accepted ADDRESS...   they arrived")
    echo(f"  campaign resolve {file} --pending ADDRESS...    they did not; the next send mails them")
    echo(f"  campaign resolve {file} --from-log MAIL.LOG     let the server's log decide")


def _settle(ledger: Ledger, chosen: list[Entry], *, accepted: bool) -> None:
    from campaign.model import Status

    status = Status.ACCEPTED if accepted else Status.PENDING
    words = "settled by hand: " + ("it arrived" if accepted else "it did not arrive")
    count = ledger.settle_doubt(status, [entry.key for entry in chosen], words, time.time_ns())
    echo(f"{count:,} settled as {status}")


def _from_log(ledger: Ledger, name: str, doubtful: list[Entry], log: Path) -> None:
    from campaign.feedback.maillog import delivered
    from campaign.ledger.doubt import sent
    from campaign.message.tokens import Secrets, Tokens
    from campaign.model import Status

    try:
        with log.open(encoding="utf-8", errors="replace") as lines:
            found = delivered(lines)
    except OSError as error:
        raise UserError(f"{log} cannot be read: {error.strerror}") from None
    # What a ledger that was restored has never seen leave may have left all the same.
    tokens = Tokens(name, Secrets(ledger.secret))
    waiting = ledger.history.entries(time.time_ns(), [Status.PENDING, Status.DEFERRED])
    unseen = [entry.key for entry in sent(waiting, found, tokens)]
    keys = [entry.key for entry in sent(doubtful, found, tokens)]
    words = f"settled by the server's log {log.name}: it was sent"
    count = ledger.settle_doubt(Status.ACCEPTED, keys, words, time.time_ns())
    if unseen:
        more = ledger.settle_doubt(Status.ACCEPTED, unseen, words, time.time_ns(), waiting=True)
        echo(f"{counted(more, 'row')} that waited had been sent before: settled as accepted")
    if not ledger.knows_nobody:
        ledger.complete()
    left = counted(len(doubtful) - count, "is", "are")
    stay = "stays" if len(doubtful) - count == 1 else "stay"
    echo(f"{count:,} settled as accepted; {left} not in {log.name} and {stay} in doubt")
