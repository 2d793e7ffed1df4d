"""Reads the names in a server's certificate after verification failed because of the name.

OpenSSL does not show a certificate that it has refused. So the names are read over a separate connection,
which is closed after the handshake. It has no login and no client certificate to give away.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing, suppress

from campaign.campaignfile.models import Security, Smtp
from campaign.errors import ConnectFailed, ConnectionLost
from campaign.sending.network.hosts import certificate_name
from campaign.sending.network.tls import tls_context
from campaign.sending.network.transport import Transport
from campaign.sending.slices import SLICE
from campaign.smtp.events import StartTLS
from campaign.smtp.session import Session

_LONGEST = 5.0  # seconds


def names_shown(smtp: Smtp, stopped: Callable[[], bool]) -> tuple[str, ...]:
    """Return the names in a server's certificate, () if they cannot be read, or once `stopped`."""
    until = time.monotonic() + _LONGEST

    def is_over() -> bool:
        return stopped() or time.monotonic() >= until

    with (
        suppress(ConnectFailed, ConnectionLost),
        closing(Transport.connect(smtp.host, smtp.port, _LONGEST, is_over)) as transport,
    ):
        context = tls_context(smtp.ca_file)
        context.check_hostname = False  # the name is known to be wrong
        if smtp.security is Security.TLS or _begins_tls(transport, smtp, is_over):
            transport.start_tls(context, smtp.server_name or certificate_name(smtp.host), _LONGEST, is_over)
        if transport.tls is not None:
            return transport.tls.names
    return ()


def _begins_tls(transport: Transport, smtp: Smtp, is_over: Callable[[], bool]) -> bool:
    """Send STARTTLS; return whether the server accepts it. Raises ConnectionLost."""
    session = Session(smtp.client_name or transport.client_name, starttls=True)
    while session.closed is None and not is_over():
        transport.send(session.data_to_send(), session.block_timeout)
        received = transport.exchange(SLICE)
        if any(isinstance(event, StartTLS) for event in session.receive(received, transport.unsent)):
            return True
    return False
