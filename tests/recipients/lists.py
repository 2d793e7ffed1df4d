"""Lists for tests: written, opened, and what is good or wrong in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from campaign.campaignfile.load import load
from campaign.errors import UserError
from campaign.model import Recipient
from campaign.recipients.list import Recipients

Open = Callable[..., Recipients]


def opened(folder: Path, octets: bytes | str, *, var: object = "", **settings: object) -> Recipients:
    """The campaign in `folder` with such a list and such `recipients`."""
    (folder / "list.csv").write_bytes(octets.encode() if isinstance(octets, str) else octets)
    (folder / "body.txt").write_text("Hi")
    values = {
        "name": "spring",
        "recipients": {"csv": "list.csv", **settings},
        "from": "news@example.com",
        "subject": "News",
        "templates": {"text": "body.txt"},
        "smtp": {"host": "localhost"},
        **({"vars": {str(var): "x"}} if var else {}),
    }
    (folder / "spring.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    return Recipients(load(folder / "spring.yaml"))


def good(recipients: Recipients) -> list[Recipient]:
    rows = list(recipients)
    assert all(isinstance(row, Recipient) for row in rows), rows
    return [row for row in rows if isinstance(row, Recipient)]


def lines(recipients: Recipients) -> list[str]:
    """Each row as a person is told of it: `1: ann@x.test`, or what is wrong."""
    return [
        f"{row.number}: {row.email}" if isinstance(row, Recipient) else f"{row.number}: {row.problems[0]}"
        for row in recipients
    ]


def refusal(failing: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        failing()
    return str(caught.value)
