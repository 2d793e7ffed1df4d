"""What a summary says on the terminal."""

from __future__ import annotations

from campaign.model import Status
from campaign.report.terminal import reply_lines


def test_a_reply_of_thousands_of_characters_keeps_its_code_and_its_end() -> None:
    page = "https://support.example/answer/6592"
    _, line = reply_lines([(Status.REFUSED, f"550 5.7.1 no; {'because ' * 500}see {page}", 3)])
    assert line.startswith("    3 × refused: 550 5.7.1 no; because ")
    assert page in line
    assert len(line) < 800
