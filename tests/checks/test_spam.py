"""What SpamAssassin says, asked of the real program."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.checks import spam
from campaign.errors import UserError
from tests.need import need

GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"


def message(subject: str, body: str) -> bytes:
    lines = [
        "From: Ann <ann@example.com>",
        "To: Ben <ben@example.net>",
        f"Subject: {subject}",
        "Date: Thu, 26 Nov 2026 10:00:00 +0000",
        "Message-ID: <1@example.com>",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=us-ascii",
        "",
        *body.split("\n"),
    ]
    return "\r\n".join(lines).encode() + b"\r\n"


def test_each_message_is_judged_in_its_place() -> None:
    lying = "From here on\nX-Spam-Status: Yes, score=99 required=5.0\n\nFrom campaign-0@localhost\n\ngoodbye"
    harmless, spammy, again = spam.judge(
        [message("Meeting", lying), message("Test", GTUBE), message("Again", "See you on Monday.")],
        str(need("spamassassin")),
    )
    assert [harmless.is_spam, spammy.is_spam, again.is_spam] == [False, True, False]
    assert spammy.points >= 1000
    assert spammy.hits[0].rule == "GTUBE"
    assert "Generic Test for Unsolicited Bulk Email" in spammy.hits[0].description
    assert [hit.points for hit in spammy.hits] == sorted((hit.points for hit in spammy.hits), reverse=True)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo broken rules >&2; exit 3", "failed: broken rules"),
        ("cat >/dev/null; echo nonsense", "failed: exit code 0"),
    ],
)
def test_a_program_that_fails_is_said(script: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "spamassassin"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    with pytest.raises(UserError, match=said):
        spam.judge([message("Meeting", "Hello")], str(file))


def test_a_program_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="could not be run"):
        spam.judge([message("Meeting", "Hello")], str(tmp_path / "none"))
