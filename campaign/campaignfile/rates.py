"""Parse rates such as `14/second`."""

from __future__ import annotations

import re

from campaign.model import PERIODS, Window

_RATE = re.compile(rf"\s*([0-9]{{1,9}})\s*/\s*({'|'.join(PERIODS)})\s*")

_IN_WORDS = re.compile(r"\s*([1-9][0-9]{0,8})\s*(?:e?mails|messages)?\s*(?:/|per|an?|each)\s*([a-z]+)\s*")


def parse_window(text: str) -> Window:
    """Parse `14/second`, `40/minute`, `2000/hour` or `50000/day`. Raises ValueError with a message."""
    match = _RATE.fullmatch(text)
    if match is None or int(match[1]) == 0:
        expected = "expected a rate such as 14/second, 40/minute, 2000/hour or 50000/day"
        raise ValueError(f"{expected}, got {text!r}{_meant(text)}")
    return Window(int(match[1]), PERIODS[match[2]])


def _meant(text: str) -> str:
    """Return how to write a rate, or several, that are written in another way; "" if that is not clear."""
    written = [_written(one) for one in text.lower().split(",")]
    if "" in written:
        return ""
    return f"; write {written[0]}" if len(written) == 1 else f"; write a list: [{', '.join(written)}]"


def _written(rate: str) -> str:
    found = _IN_WORDS.fullmatch(rate)
    units = [
        unit for unit in PERIODS if found is not None and unit.startswith(found[2].removesuffix("s") or "s")
    ]
    return f"{found[1]}/{units[0]}" if found is not None and units else ""
