"""The samples as receivers see them: what a spam filter scores, and what a validator says of the HTML."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from itertools import islice
from pathlib import Path

import pytest

from campaign.campaignfile.load import load
from campaign.message.render import Renderer
from campaign.message.tokens import Secrets
from campaign.model import Recipient
from campaign.recipients.list import Recipients
from tests.need import need

SAMPLES = Path(__file__).parents[2] / "templates"
MOST = 1.0


def rendered(name: str, count: int) -> list[bytes]:
    """The messages of the first rows of a sample."""
    campaign = load(SAMPLES / name / "campaign.yaml")
    recipients = Recipients(campaign)
    renderer = Renderer(campaign, recipients.columns, Secrets.placeholder())
    rows = (row for row in recipients if isinstance(row, Recipient))
    return [renderer.render(row, date=datetime.now(UTC)).content for row in islice(rows, count)]


@pytest.mark.parametrize("name", ["newsletter", "mail-merge", "plain"])
def test_spam_score(name: str, tmp_path: Path) -> None:
    spamassassin = need("spamassassin")
    (message,) = rendered(name, 1)
    # -L: local rules only. Its files go into a temporary home.
    judged = subprocess.run(
        [str(spamassassin), "-L", "-t", "--siteconfigpath=/etc/spamassassin"],
        input=message,
        capture_output=True,
        check=True,
        env={"HOME": str(tmp_path), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    # The header of the judged message comes first, before any forwarded one.
    score = re.search(rb"X-Spam-Status: \w+, score=(-?[0-9.]+)", judged.stdout)
    assert score is not None, judged.stderr.decode()
    assert float(score[1]) < MOST, judged.stdout.decode("utf-8", "replace")


@pytest.mark.parametrize("name", ["newsletter", "mail-merge"])
def test_html_is_valid(name: str) -> None:
    tidy = need("tidy")
    for message in rendered(name, 3):
        part = message_from_bytes(message, policy=default).get_body(("html",))
        assert part is not None
        html = part.get_content()
        said = subprocess.run([str(tidy), "-q", "-e", "-utf8"], input=html, capture_output=True, text=True)
        # Attributes for mail clients (bgcolor, align) are on purpose; anything else is not.
        complaints = [
            line
            for line in said.stderr.splitlines()
            if not re.search(r"proprietary|not allowed for HTML5|summary", line)
        ]
        assert complaints == []
