"""smtplib and EmailMessage: one session, used again for each message."""

from __future__ import annotations

import smtplib
import ssl

from tests.bench.peers.job import HOST, PASSWORD, USER, Messages, job

one = job()
messages = Messages(one)
with smtplib.SMTP(HOST, one.port) as server:
    server.starttls(context=ssl.create_default_context())
    server.login(USER, PASSWORD)
    for row in one.rows:
        server.send_message(messages.of(row))
