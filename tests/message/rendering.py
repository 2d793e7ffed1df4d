"""A campaign, a row of its list, and what its message says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest
import yaml

from campaign.campaignfile.load import load
from campaign.campaignfile.models import CampaignFile
from campaign.errors import UserError
from campaign.message.render import Renderer
from campaign.message.tokens import Secrets
from campaign.model import Message, Recipient

DATE = datetime(2026, 3, 20, 7, 30, tzinfo=UTC)
SECRETS = Secrets(b"ledger's", b"unsubscribe's")
UNSUBSCRIBE_URL = "https://example.com/u/{{ unsubscribe.token }}"
CELLS = {"email": "ann@x.test", "first": "Ann", "boss": "", "file": "", "note": ""}

Made = Callable[..., Renderer]


def row(number: int = 3, *, name: str = "", key: str = "", **cells: str) -> Recipient:
    every = {**CELLS, **cells}
    return Recipient(number, number + 1, key or every["email"], every["email"], name, every)


def campaign(folder: Path, **values: object) -> CampaignFile:
    for name, content in {
        "list.csv": "email\n",
        "body.txt": "Hi {{ first }}!\n",
        "body.html": "<p>Hi",
    }.items():
        if not (folder / name).exists():
            (folder / name).write_text(content)
    written = {
        "name": "spring",
        "recipients": "list.csv",
        "from": "Example News <news@example.com>",
        "subject": "News for {{ first }}",
        "templates": {"text": "body.txt"},
        "smtp": {"host": "localhost"},
        **values,
    }
    written = {key: value for key, value in written.items() if value is not None}
    (folder / "spring.yaml").write_text(yaml.safe_dump(written, sort_keys=False, allow_unicode=True))
    return load(folder / "spring.yaml")


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
