"""Test messages: the real message of a row, to people who look at it before everybody gets it.

The ledger counts each in the rate, and keeps nothing else of it. What the server answers is said,
and nothing is tried again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from campaign.campaignfile import CampaignFile
from campaign.connection import Connection
from campaign.errors import ConnectFailed
from campaign.ledger import Sending
from campaign.model import Message, Settled
from campaign.pacing import Pace
from campaign.sender import load_pace
from campaign.smtp import BodyDue, Closed, Login


def send_tests(
    campaign: CampaignFile, messages: list[Message], sending: Sending, login: Login | None
) -> Iterator[Settled]:
    """Send the messages over one session and yield what became of each. Raises ConnectFailed."""
    pace = Pace(campaign.windows)
    load_pace(pace, campaign, sending, time.monotonic_ns())
    connection = Connection.open(campaign.smtp, login)
    try:
        waiting = list(messages)
        due = len(messages)
        while due:
            if connection.session.wants_message and waiting:
                connection.session.submit(waiting.pop(0))
            for event in connection.step(connection.session.timeout):
                match event:
                    case BodyDue(message=message):
                        _wait(pace, len(message.envelope.recipients))
                        sending.note_start(time.time_ns(), len(message.envelope.recipients))
                        connection.session.release(message)
                    case Settled():
                        due -= 1
                        yield event
                    case Closed() if due:
                        raise ConnectFailed(f"{event.stage}: {event.why}")
                    case _:
                        pass
        connection.quit()
    finally:
        connection.close()


def _wait(pace: Pace, addresses: int) -> None:
    while delay := pace.delay(time.monotonic_ns(), addresses):
        time.sleep(delay / 1e9)
    pace.take(time.monotonic_ns(), addresses)
