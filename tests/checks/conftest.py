"""What a rule says of a small campaign."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from campaign.campaignfile.load import load
from campaign.campaignfile.rulenames import OTHERS, RULES
from campaign.checks.running import Checks
from campaign.errors import Problem
from campaign.ledger import Ledger
from campaign.message.tokens import Secrets
from campaign.preparation import prepare
from tests.folder import write_campaign

PEOPLE = "email,first,First Name,row,file\nann@x.test,Ann,Ann,1,a.pdf\nben@x.test,Ben,Ben,2,a.pdf\n"

Said = Callable[..., list[str]]
Found = Callable[..., list[Problem]]


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Found:
    """Return what a rule finds; the campaign's other values are taken from `values`."""
    monkeypatch.chdir(tmp_path)

    def found(
        rule: str, people: str = PEOPLE, text: str | None = None, html: str = "", **values: Any
    ) -> list[Problem]:
        if text is None:
            text = "Hi {{ first }}" if "first" in people.partition("\n")[0].split(",") else "Hi"
        files = {"list.csv": people, "body.txt": text, "body.html": html}
        parts = {**({"text": "body.txt"} if text else {}), **({"html": "body.html"} if html else {})}
        made = {
            "from": "news@wrenfield.org",
            "templates": parts,
            "smtp": {"host": "smtp.wrenfield.org"},
            **values,
        }
        campaign = load(write_campaign(Path(), files, **made))
        ledger = Ledger.temporary(campaign.name)
        checks = Checks(campaign)
        try:
            prepare(campaign, ledger.enrolment(), Secrets.placeholder(), examiner=checks)
        finally:
            ledger.close()
        problems = checks.report()
        assert all(problem.rule in (*RULES, *OTHERS) for problem in problems)
        return [problem for problem in problems if problem.rule == rule]

    return found


@pytest.fixture
def said(found: Found) -> Said:
    """The same in words."""
    return lambda rule, *args, **values: [str(problem) for problem in found(rule, *args, **values)]
