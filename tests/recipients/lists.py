"""Lists for tests: written, opened, and what is good or wrong in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from campaign.campaignfile.load import load
from campaign.errors import UserError
from campaign.model import Recipient
from campaign.recipients.csvfile import CsvFile
from campaign.recipients.list import Recipients
from tests.folder import write_campaign

Open = Callable[..., Recipients]


def opened(folder: Path, octets: bytes | str, *, var: object = "", **settings: Any) -> Recipients:
    """The campaign in `folder` with such a list and such `recipients`."""
    named: dict[str, Any] = {"vars": {str(var): "x"}} if var else {}
    file = write_campaign(folder, {"list.csv": octets}, recipients={"csv": "list.csv", **settings}, **named)
    return Recipients(load(file))


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


def delimiter_of(recipients: Recipients) -> str:
    assert isinstance(recipients.table, CsvFile)
    return recipients.table.delimiter


def refusal(failing: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        failing()
    return str(caught.value)
