"""A campaign, a row of its list, and what its message says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from campaign.campaignfile.load import load
from campaign.campaignfile.models import CampaignFile
from campaign.delivery import Message
from campaign.errors import UserError
from campaign.message.render import Renderer
from campaign.message.tokens import Secrets
from campaign.model import Recipient
from tests.folder import write_campaign

DATE = datetime(2026, 3, 20, 7, 30, tzinfo=UTC)
SECRETS = Secrets(b"ledger's", b"unsubscribe's")
UNSUBSCRIBE_URL = "https://example.com/u/{{ unsubscribe.token }}"
CELLS = {"email": "ann@x.test", "first": "Ann", "boss": "", "file": "", "note": ""}

Made = Callable[..., Renderer]


def row(number: int = 3, *, name: str = "", key: str = "", **cells: str) -> Recipient:
    every = {**CELLS, **cells}
    return Recipient(number, number + 1, key or every["email"], every["email"], name, every)


def campaign(folder: Path, **values: Any) -> CampaignFile:
    files = {"body.txt": "Hi {{ first }}!\n", "body.html": "<p>Hi"}
    files = {name: content for name, content in files.items() if not (folder / name).exists()}
    made = {"from": "Example News <news@example.com>", "subject": "News for {{ first }}", **values}
    return load(write_campaign(folder, files, **made))


def rendered(renderer: Renderer, recipient: Recipient | None = None, **more: str) -> Message:
    return renderer.render(recipient or row(), date=DATE, **more)


def octets(message: Message) -> bytes:
    return message.content


def read(message: Message) -> EmailMessage:
    found = message_from_bytes(octets(message), policy=default)
    assert isinstance(found, EmailMessage)
    return found


def fields(message: Message) -> list[str]:
    """The header's lines, unfolded."""
    head = octets(message).partition(b"\r\n\r\n")[0].decode()
    return head.replace("\r\n ", " ").split("\r\n")


def refusal(failing: Callable[[], object]) -> list[str]:
    with pytest.raises(UserError) as caught:
        failing()
    return [str(problem) for problem in caught.value.problems]
