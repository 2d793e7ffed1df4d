"""Test messages: the real message of a row, to people who look at it before everybody gets it.

The ledger counts each in the rate, and keeps nothing else of it. What the server answers is said,
and nothing is tried again. Who tests is sitting there: a rate that is used up for long is an error.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from campaign.campaignfile.models import CampaignFile
from campaign.errors import ConnectFailed, UserError
from campaign.ledger.sqlite.run import SqliteRun
from campaign.model import Message, Settled
from campaign.sending.connection import Connection, OnWait
from campaign.sending.pacing import Pace
from campaign.sending.sender import load_pace
from campaign.smtp import BodyDue, Closed, Login

_PATIENCE = 60.0  # seconds to wait for the rate


def send_tests(
    campaign: CampaignFile,
    messages: list[Message],
    sending: SqliteRun,
    login: Login | None,
    on_silence: OnWait = lambda seconds, why: None,
) -> Iterator[Settled]:
    """Send the messages over one session and yield what became of each.

    `on_silence` is told of a server that does not greet. Raises UserError where the rate allows them
    too late, and ConnectFailed.
    """
    pace = Pace(campaign.windows)
    load_pace(pace, campaign, sending, time.monotonic_ns())
    seconds = pace.finish(time.monotonic_ns(), len(messages)) / 1e9
    if seconds > _PATIENCE:
        minutes = round(seconds / 60)
        raise UserError(f"the rate {pace} is used up: this could be sent in {minutes:,} minutes; nothing was")
    connection = Connection.open(campaign.smtp, login, on_silence=on_silence)
    try:
        session = connection.session
        waiting = list(messages)
        due = len(messages)
        while due:
            if waiting and session.idle and session.wants_message:
                message = waiting.pop(0)
                addresses = len(message.envelope.recipients)
                while delay := pace.delay(time.monotonic_ns(), addresses):
                    time.sleep(delay / 1e9)
                session.submit(message)
            for event in connection.step(session.timeout):
                match event:
                    case BodyDue(message=message):
                        pace.take(time.monotonic_ns(), addresses)
                        sending.note_start(time.time_ns(), addresses)
                        session.release(message)
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
