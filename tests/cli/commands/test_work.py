"""`campaign work`, before it has a ledger."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Run


@pytest.mark.parametrize(
    "arguments",
    [[], ["campaign.yaml", "--all"], ["campaign.yaml", "--ledger", "postgresql:///mail"]],
    ids=lambda words: " ".join(words),
)
def test_files_or_a_ledger_say_what_is_sent(run: Run, arguments: list[str]) -> None:
    assert "name the campaigns' files, or --all with --ledger" in run("work", *arguments, code=2)


def test_its_help_promises_no_ledger_that_it_does_not_take(run: Run) -> None:
    assert "ledger.db" not in run("work", "--help")
