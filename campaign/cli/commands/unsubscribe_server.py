"""`campaign unsubscribe-server`: the one-click page under waitress, for small sites and for trying it."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import click

from campaign.cli.codes import OK
from campaign.errors import UserError


@click.command("unsubscribe-server")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--listen", default="127.0.0.1:8058", show_default=True, metavar="HOST:PORT", help="Where.")
def command(file: Path, listen: str) -> int:
    """Serve the page at which people unsubscribe from FILE's campaigns, until it is interrupted.

    It speaks HTTP; a web server in front of it brings HTTPS. Larger sites mount the WSGI application
    `campaign.unsubscribe:app` in the server that they have; `campaign guide unsubscribing` shows how.
    """
    from campaign.ledger import Ledger
    from campaign.unsubscribe import Application
    from campaign.unsubscribe.settings import read_settings
    from campaign.unsubscribe.web import MOST_READ

    try:
        from waitress import serve
    except ImportError:
        raise UserError("this command needs waitress: pip install 'campaign[web]'") from None
    if not re.fullmatch(r"(?:[^:\s]+|\[[^\]\s]+\]):\d{1,5}", listen):
        port = listen.removeprefix(":")
        hint = f"127.0.0.1:{port}" if port.isdigit() else "127.0.0.1:8058"
        raise UserError(f"--listen takes HOST:PORT, and {listen!r} is none; write {hint}")
    settings = read_settings(file)
    # What is wrong with the ledger is said now, and not to whom wants to leave.
    Ledger.open(settings.ledger, settings.name, create=False, read_only=True).close()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    try:
        # It logs where it listens; a signal ends it. A body is kept in a file until all of it is there.
        serve(Application(file), listen=listen, ident="campaign", max_request_body_size=MOST_READ)
    except (OSError, ValueError) as error:
        raise UserError(f"nothing can listen at {listen!r}: {error}") from None
    return OK  # it has done what it was asked: a service that is stopped has not failed
