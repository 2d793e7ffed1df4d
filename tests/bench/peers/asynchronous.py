"""aiosmtplib and EmailMessage: as many sessions as connections, each used again for each message."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from aiosmtplib import SMTP

from tests.bench.peers.job import HOST, PASSWORD, USER, Messages, job

one = job()
messages = Messages(one)


async def send(rows: Iterator[dict[str, str]]) -> None:
    server = SMTP(hostname=HOST, port=one.port, username=USER, password=PASSWORD, start_tls=True)
    async with server:
        for row in rows:
            await server.send_message(messages.of(row))


async def main() -> None:
    rows = iter(one.rows)
    await asyncio.gather(*(send(rows) for _ in range(one.connections)))


asyncio.run(main())
