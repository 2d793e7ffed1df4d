"""Parse rates such as `14/second`."""

from __future__ import annotations

import re

from campaign.model import PERIODS, Window

_RATE = re.compile(rf"\s*([0-9]{{1,9}})\s*/\s*({'|'.join(PERIODS)})\s*")


def parse_window(text: str) -> Window:
    """Parse `14/second`, `40/minute`, `2000/hour` or `50000/day`. Raises ValueError with a message."""
    match = _RATE.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise ValueError(
            f"expected a rate such as 14/second, 40/minute, 2000/hour or 50000/day, got {text!r}"
        )
    return Window(int(match[1]), PERIODS[match[2]])
