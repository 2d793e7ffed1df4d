"""The sender's lease while another process has it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from campaign.errors import LeaseHeld
from campaign.ledger import Ledger
from campaign.sending.lease import leased
from tests.campaignfile.files import MINIMAL, read
from tests.ledger.book import start


@pytest.mark.parametrize(("wait", "names_the_option"), [(0.0, True), (None, False)])
def test_the_option_to_wait_is_mentioned_only_for_commands_that_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait: float | None, names_the_option: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.csv").write_text("email\nanna@example.com\n", "utf-8")
    (tmp_path / "body.txt.j2").write_text("Hello", "utf-8")
    campaign = read(MINIMAL, tmp_path)
    holder, other = (Ledger.open(tmp_path / "ledger.db", "news") for _ in range(2))
    run = start(holder, time.time_ns())
    with (
        pytest.raises(LeaseHeld, match="is sending from this ledger; wait until it ends, or stop it") as held,
        leased(campaign, other, wait, lambda seconds, why: None),
    ):
        pass
    assert ("--wait 10m waits for it" in str(held.value)) == names_the_option
    run.end(time.time_ns())
    other.close()
    holder.close()
