"""`campaign test`: the real message of a row, to me."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from campaign.cli.output import Output
from campaign.errors import Problem, UserError

if TYPE_CHECKING:
    from campaign.model import Recipient
    from campaign.recipients.list import Recipients


@click.command("test")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@click.option(
    "--as",
    "row",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="The row whose message it is.",
)
def command(file: Path, addresses: tuple[str, ...], row: int) -> int:
    """Send the real message of a row of FILE's list to each ADDRESS, and to nobody else.

    The subject is marked, the Message-ID is another, cc and bcc are left out. It counts in the rate;
    the ledger is otherwise untouched.
    """
    from campaign.address import AddressError, parse_address
    from campaign.campaignfile.load import load
    from campaign.cli import credentials
    from campaign.ledger import Ledger
    from campaign.preparation import compile_campaign
    from campaign.sending.sender import scope_of
    from campaign.sending.trial import send_tests
    from campaign.verdict import Verdict, judge

    to: list[str] = []
    for address in addresses:
        try:
            to.append(parse_address(address))
        except AddressError as error:
            raise UserError(str(error)) from None
    campaign = load(file)
    ledger = Ledger.open(campaign.ledger, campaign.name, campaign.file)
    try:
        suppressed = [
            Problem(f"{address} is suppressed: it gets nothing")
            for address in to
            if ledger.is_suppressed(address)
        ]
        if suppressed:
            raise UserError(*suppressed)
        recipients, renderer = compile_campaign(campaign, credentials.secrets(campaign, ledger))
        recipient = _row(recipients, row)
        messages = [renderer.render(recipient, date=datetime.now(UTC), test_to=address) for address in to]
        login = credentials.login(campaign)()
        sending = ledger.start(scope_of(campaign), time.time_ns())
        accepted = 0
        try:
            for settled in send_tests(campaign, messages, sending, login, Output().waiting):
                answer = settled.answers[0]
                taken = judge(answer) is Verdict.ACCEPTED
                accepted += taken
                words = answer.reply.text if answer.reply is not None else answer.why
                click.echo(f"{answer.address}: {'accepted' if taken else 'not accepted'}: {words}")
        finally:
            sending.end(time.time_ns())
    finally:
        ledger.close()
    return 0 if accepted == len(messages) else 3


def _row(recipients: Recipients, number: int) -> Recipient:
    from campaign.model import Recipient

    for row in recipients:
        if row.number == number:
            if isinstance(row, Recipient):
                return row
            raise UserError(*row.problems)
        if row.number > number:
            break
    raise UserError(f"row {number} is not among those to be mailed")
