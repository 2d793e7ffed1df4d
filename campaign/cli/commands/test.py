"""`campaign test`: send the real message of a row to yourself."""

from __future__ import annotations

from pathlib import Path

import click

from campaign.cli.options import DURATION, WAIT
from campaign.cli.output import Output
from campaign.errors import UserError


@click.command("test")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@click.option(
    "--as",
    "row",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="The row whose message to send.",
)
@click.option("--wait", type=DURATION, default=0.0, help=WAIT)
def command(file: Path, addresses: tuple[str, ...], row: int, wait: float) -> int:
    """Send the real message of a row of FILE's list to each ADDRESS, and to nobody else.

    The subject is marked, the Message-ID is different, and cc and bcc are left out. It counts for the
    rate; otherwise the ledger is not changed.
    """
    from campaign.address import AddressError, parse_address
    from campaign.cli.audience import Terminal
    from campaign.cli.ending import exit_code, why
    from campaign.model import Status
    from campaign.sending.dispatch import Ending
    from campaign.sending.job import run
    from campaign.sending.plan import Mode, Options
    from campaign.sending.preflight.reading import read

    to: list[str] = []
    wrong: list[str] = []
    for address in addresses:
        try:
            to.append(parse_address(address))
        except AddressError as error:
            wrong.append(str(error))
    if wrong:
        raise UserError(*wrong)
    output = Output()
    options = Options(mode=Mode.TEST, row=row, test_to=tuple(to), wait=wait)
    campaign = read(file, output.progress)
    finished = run(campaign, options, Terminal(output))
    if finished.stop.ending in (Ending.PAUSED, Ending.DISCONNECTED):
        output.problems([why(campaign, finished.stop)])
    for result in finished.results:
        known = {Status.ACCEPTED: "accepted", Status.IN_DOUBT: "may have arrived"}
        taken = known.get(result.status, "not accepted")
        output.lines([f"{result.outcomes[0].address}: {taken}: {result.reply}"])
    return exit_code(finished)
