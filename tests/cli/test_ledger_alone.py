"""Commands that are about the ledger need none of the files that a campaign names."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.ledger import Ledger
from tests.cli.conftest import ANNA, BEN, CLEO, Run


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["status", "campaign.yaml"], "1 of 3 accepted"),
        (["report", "campaign.yaml", "-o", "page.html"], "written to page.html"),
        (["export", "campaign.yaml"], BEN),
        (["resolve", "campaign.yaml"], CLEO),
        (["resolve", "campaign.yaml", "--accepted", CLEO], "1 settled as accepted"),
        (["suppress", "add", BEN, "--campaign", "campaign.yaml"], "1 added"),
        (["suppress", "list", "--campaign", "campaign.yaml"], ""),
        (["forget", ANNA, "--campaign", "campaign.yaml"], "1 row of the ledger forgotten"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_neither_list_nor_template_nor_certificate_need_be_there(
    run: Run, ledger: Ledger, arguments: list[str], said: str
) -> None:
    campaign = Path("campaign.yaml")
    yaml = campaign.read_text().replace("port: 9", "port: 9, ca_file: gone.pem, password_file: gone")
    campaign.write_text(
        yaml + "attachments: [gone.pdf]\ndkim: {domain: example.com, selector: s, key_file: k}\n"
    )
    Path("list.csv").unlink()
    Path("body.txt").unlink()
    assert said in run(*arguments)
