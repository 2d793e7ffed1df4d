"""`campaign unsubscribe-server`: serve the unsubscribe page with waitress, for small sites and for trying."""

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
    """Serve the unsubscribe page of FILE's campaigns, until it is interrupted.

    It speaks HTTP; a web server in front of it adds HTTPS. Larger sites mount the WSGI application
    `campaign.unsubscribe:app` in their own server; `campaign guide unsubscribing` shows how.
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
        raise UserError(f"--listen needs HOST:PORT, and {listen!r} is not; write {hint}")
    settings = read_settings(file)
    # A problem of the ledger is reported now, and not to the first person who unsubscribes.
    Ledger.open(settings.ledger, settings.name, create=False, read_only=True).close()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    try:
        # waitress logs where it listens, ends on a signal, and buffers request bodies in files.
        # Connections that send nothing must not keep others out: by default it has 100, for two minutes each.
        serve(
            Application(file),
            listen=listen,
            ident="campaign",
            max_request_body_size=MOST_READ,
            connection_limit=1000,
            channel_timeout=30,
            cleanup_interval=5,
            asyncore_use_poll=True,
        )
    except (OSError, ValueError) as error:
        raise UserError(f"nothing can listen at {listen!r}: {error}") from None
    return OK  # a service that is stopped has not failed
