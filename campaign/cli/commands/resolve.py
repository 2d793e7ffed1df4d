"""`campaign resolve`: list what is in doubt, and settle it by a person's decision or the server's log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from campaign.cli.codes import OK, UNFINISHED
from campaign.cli.output import ask, echo
from campaign.errors import UserError
from campaign.wording import counted

if TYPE_CHECKING:
    from campaign.ledger import Entry, Ledger

_TIMES = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")


@click.command("resolve")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("addresses", nargs=-1, metavar="[ADDRESS]...")
@click.option("--accepted", is_flag=True, help="These arrived: never send to them again.")
@click.option("--pending", is_flag=True, help="These did not arrive: the next send mails them.")
@click.option("--all", "everybody", is_flag=True, help="All that are in doubt.")
@click.option(
    "--from-log",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A Postfix or Exim log; messages that it shows as sent are accepted.",
)
@click.option("--by-address", is_flag=True, help="The ledger is lost: look for addresses in the log.")
@click.option(
    "--since", metavar="DATE", type=click.DateTime(_TIMES), help="With --by-address: when it was sent, from …"
)
@click.option("--until", metavar="DATE", type=click.DateTime(_TIMES), help="… until, in local time.")
@click.option("--yes", is_flag=True, help="With --by-address: do not ask.")
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
    by_address: bool,
    since: datetime | None,
    until: datetime | None,
    yes: bool,
    nothing_missing: bool,
) -> int:
    """List or settle what is in doubt in FILE's campaign: sent, but no reply was received.

    \b
    campaign resolve FILE
    campaign resolve FILE --accepted anna@example.com ben@example.com
    campaign resolve FILE --pending --all
    campaign resolve FILE --from-log /var/log/mail.log
    campaign resolve FILE --from-log LOG --by-address \\
      --since 2026-03-20 --until 2026-03-21
    """
    from campaign.campaignfile.identity import identify
    from campaign.ledger import Ledger
    from campaign.ledger.doubt import entries_in_doubt, entries_named

    if accepted + pending + (from_log is not None) + nothing_missing > 1:
        raise UserError("give only one of --accepted, --pending, --from-log and --nothing-missing")
    if (addresses or everybody) and not (accepted or pending):
        raise UserError("say what became of them: --accepted or --pending")
    if (accepted or pending) and not (addresses or everybody):
        raise UserError("name addresses or keys, or --all")
    if not by_address and (since or until or yes):
        raise UserError("--since, --until and --yes belong to --by-address")
    if by_address:
        if from_log is None or since is None or until is None:
            raise UserError("--by-address needs --from-log LOG, --since TIME and --until TIME")
        return _by_address(file, from_log, since, until, yes=yes)
    campaign = identify(file)
    ledger = Ledger.open(campaign.ledger, campaign.name, create=False)
    try:
        if nothing_missing:
            ledger.mark_complete(for_all=True)
            echo("the ledger counts as complete")
        elif from_log is not None:
            _from_log(ledger, file, from_log)
        else:
            rows = entries_in_doubt(ledger.history, time.time_ns())
            if accepted or pending:
                _settle(ledger, entries_named(rows, addresses) if addresses else rows, accepted=accepted)
            else:
                _list(rows, file)
    finally:
        ledger.close()
    return OK


def _list(entries: list[Entry], file: Path) -> None:
    from campaign.report.words import clock

    if not entries:
        echo("nothing is in doubt")
        return
    for entry in entries:
        began = clock(entry.started_at) if entry.started_at is not None else "?"
        echo(f"{entry.email or '(forgotten)'}  {began}  {entry.message_id}  {entry.reply}")
    which = "its Message-ID" if len(entries) == 1 else "their Message-IDs"
    echo(f"\n{len(entries):,} may have arrived. Look for {which} at the server, then:")
    echo(f"  campaign resolve {file} --accepted ADDRESS...   they arrived")
    echo(f"  campaign resolve {file} --pending ADDRESS...    they did not; the next send mails them")
    echo(f"  campaign resolve {file} --from-log MAIL.LOG     let the server's log decide")


def _settle(ledger: Ledger, chosen: list[Entry], *, accepted: bool) -> None:
    from campaign.ledger.doubt import count_suppressed
    from campaign.model import Status

    status = Status.ACCEPTED if accepted else Status.PENDING
    words = "settled by hand: " + ("it arrived" if accepted else "it did not arrive")
    keys, now = [entry.key for entry in chosen], time.time_ns()
    count = ledger.settle_doubt(status, keys, words, now)
    mute = 0 if accepted else count_suppressed(ledger.history, keys, now)
    if count > mute or not mute:
        echo(f"{count - mute:,} settled as {status}")
    if mute:
        echo(f"{mute:,} settled as {Status.SUPPRESSED}: who is suppressed or forgotten gets nothing")


def _from_log(ledger: Ledger, file: Path, log: Path) -> None:
    from campaign.campaignfile.load import load
    from campaign.feedback.maillog import delivered
    from campaign.ledger.doubt import entries_in_doubt, entries_sent
    from campaign.message.tokens import MESSAGE_ID, Secrets, Tokens
    from campaign.model import Status
    from campaign.sending.recovery import enrol, settle_waiting

    with _opened(log) as lines:
        found = delivered(lines, MESSAGE_ID)
    if ledger.incomplete:  # the list may have rows that were sent, but are not in the ledger
        enrol(load(file), ledger)
    doubt = entries_in_doubt(ledger.history, time.time_ns())
    tokens = Tokens(ledger.name, Secrets(ledger.secret))
    words = f"settled by the server's log {log.name}: it was sent"
    keys = [entry.key for entry in entries_sent(doubt, found, tokens)]
    count = ledger.settle_doubt(Status.ACCEPTED, keys, words, time.time_ns())
    more = settle_waiting(ledger, found, words)
    if more:
        echo(f"{counted(more, 'message')} that waited had been sent before: settled as accepted")
    if ledger.incomplete:
        ledger.mark_complete()
        echo("the ledger counts as complete for this campaign")
    left = counted(len(doubt) - count, "is", "are")
    stay = "stays" if len(doubt) - count == 1 else "stay"
    echo(f"{count:,} settled as accepted; {left} not in {log.name} and {stay} in doubt")


def _by_address(file: Path, log: Path, since: datetime, until: datetime, *, yes: bool) -> int:
    from campaign.campaignfile.load import load
    from campaign.feedback.maillog import deliveries
    from campaign.ledger import Ledger
    from campaign.sending.recovery import matches, settle_matches, shared

    campaign = load(file)
    with _opened(log) as lines:
        between = (one for one in deliveries(lines) if one.at is not None and since <= one.at <= until)
        found = matches(campaign, between)
    if not found:
        raise UserError(
            f"{log.name} names nobody on the list between {since} and {until}; nothing was changed"
        )
    for match in found:
        echo(f"{match.recipient.email}  " + ", ".join(f"{one.at} {one.queue}" for one in match.deliveries))
    for address in sorted(shared(found)):
        echo(
            f"{address} has more rows than the log has messages to it; all of its rows count as sent",
            err=True,
        )
    question = f"Settle {counted(len(found), 'row')} as accepted?"
    if not yes and not sys.stdin.isatty():
        raise UserError(f"{question} There is no terminal to ask on: look at the matches, then add --yes")
    if not yes and not ask(question):
        echo("Nothing was changed.")
        return UNFINISHED
    ledger = Ledger.open(campaign.ledger, campaign.name, campaign.file)
    try:
        words = f"settled by the server's log {log.name}: its address had mail then"
        count = settle_matches(campaign, ledger, found, words)
    finally:
        ledger.close()
    echo(f"{count:,} settled as accepted; the next send mails the others")
    return OK


@contextmanager
def _opened(log: Path) -> Iterator[TextIO]:
    try:
        if log.is_char_device() or log.is_block_device():  # a pipe is allowed: it may unpack a log
            raise UserError(f"{log} is a device, and a server's log is expected")
        with log.open(encoding="utf-8", errors="replace") as lines:
            yield lines
    except OSError as error:
        raise UserError(f"{log} cannot be read: {error.strerror}") from None
