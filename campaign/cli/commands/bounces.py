"""`campaign bounces`: read bounces, complaints and unsubscribes, and suppress their addresses."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from campaign.cli.codes import OK
from campaign.cli.output import Output
from campaign.errors import Problem, UserError
from campaign.wording import shown

if TYPE_CHECKING:
    from campaign.campaignfile.listening import Listening
    from campaign.feedback.mailboxes import Mailbox

_FOLDER = click.Path(path_type=Path)


@click.command("bounces")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("stdin", required=False, metavar="[-]")
@click.option("--maildir", type=_FOLDER, metavar="DIR", help="Read a Maildir.")
@click.option("--mbox", type=_FOLDER, metavar="FILE", help="Read an mbox file.")
@click.option("--imap", is_flag=True, help="Read the mailbox that `bounces.imap` names.")
@click.option("--recipient", default="", metavar="ADDRESS", help="With -: the envelope's recipient.")
@click.option("--dry-run", is_flag=True, help="Record nothing, and move nothing.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
def command(
    file: Path,
    stdin: str | None,
    maildir: Path | None,
    mbox: Path | None,
    imap: bool,
    recipient: str,
    dry_run: bool,
    quiet: bool,
) -> int:
    """Read bounces, complaints and unsubscribes of FILE's campaign, and suppress their addresses.

    \b
    campaign bounces FILE                  the mailbox that `bounces.imap` names
    campaign bounces FILE --maildir DIR
    campaign bounces FILE --mbox FILE
    campaign bounces FILE -                one mail, from a server's alias

    A mail is identified by the token in its recipient address, and counts once, however often it is read.
    With -, the exit code is 0 only if the mail was recorded or there is nothing to record, otherwise 75:
    then the server keeps the mail and tries again. `campaign guide bounces` shows how to set it up.
    """
    from campaign.campaignfile.listening import listening
    from campaign.feedback.reading import Reader
    from campaign.ledger import Ledger
    from campaign.ledger.returns import Rules
    from campaign.model import SECOND
    from campaign.report.heard import account_lines

    if stdin not in (None, "-"):
        raise click.UsageError(f"{stdin!r} is not a mailbox: write --maildir, --mbox, --imap or -")
    if (stdin is not None) + (maildir is not None) + (mbox is not None) + imap > 1:
        raise click.UsageError("give only one of --maildir, --mbox, --imap and -")
    found = listening(file)
    identity = found.identity
    mailbox = _mailbox(found, stdin, maildir, mbox, recipient, dry_run=dry_run)
    count, seconds = found.bounces.soft
    rules = Rules(count, int(seconds * SECOND), found.suppress)
    ledger = Ledger.open(identity.ledger, identity.name, create=False, read_only=dry_run)
    try:
        if not ledger.knows_campaign:  # if it was renamed, every report would seem to be another campaign's
            what = f"the ledger has no campaign {identity.name!r}: nothing was sent"
            raise UserError(ledger.problem(what))
        returns = ledger.returns()
        reader = Reader(returns, rules, found.mailto, dry=dry_run)
        try:
            reader.read(mailbox, time.time_ns())
        finally:
            if reader.account.mails or sys.exception() is None:  # otherwise it could not be read at all
                name = shown(identity.file)
                Output(quiet=quiet).lines(account_lines(reader.account, name, returns.held(), dry=dry_run))
    finally:
        ledger.close()
    return OK


def _mailbox(
    found: Listening,
    stdin: str | None,
    maildir: Path | None,
    mbox: Path | None,
    recipient: str,
    *,
    dry_run: bool,
) -> Mailbox:
    """Return the mailbox to read. Raises UserError if none is named, or if its password is missing."""
    from campaign.feedback.mailboxes import Maildir, Mbox, Piped

    if stdin is not None:
        return Piped(sys.stdin.buffer, recipient)
    if maildir is not None:
        return Maildir(maildir)
    if mbox is not None:
        return Mbox(mbox)
    settings = found.bounces.imap
    if settings is None or settings.secret is None:
        what = "there is no `bounces.imap`: add it, or name a place with --maildir, --mbox or -"
        raise UserError(Problem(what, shown(found.identity.file)))
    from campaign.feedback.imap import Account, ImapFolder
    from campaign.sending.network.tls import tls_context
    from campaign.smtp.auth import Login

    tls = tls_context(settings.ca_file)
    login = Login(settings.username, settings.secret.read(), settings.auth)
    account = Account(settings.host, settings.port, login, settings.folder, settings.done)
    return ImapFolder(account, tls, read_only=dry_run)
