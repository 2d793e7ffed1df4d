"""A template that takes too much, anywhere: each command ends with a sentence that names it and the row."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from campaign.templating.processes import limits
from tests.cli.conftest import Run

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the kernel's limits are set where it forks")

HANG = (
    "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(60) %}"
    "{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}"
)


@pytest.fixture(autouse=True)
def _a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SECONDS", 1)


@pytest.mark.parametrize("command", ["check", "preview", "send --dry-run"])
def test_rendering(run: Run, command: str) -> None:
    Path("body.txt").write_text(f"Hi {{{{ city }}}}\n{{% if recipient.number == 2 %}}{HANG}{{% endif %}}")
    words = command.split()
    said = run(
        words[0], "campaign.yaml", *words[1:], *(["--row", "2"] if command == "preview" else []), code=2
    )
    assert "too much work: more than 5 s of processor time" in said
    assert "body.txt: the template" in said
    assert "(row 2, line 3 of the list)" in said


def test_memory(run: Run) -> None:
    Path("body.txt").write_text("Hi\n{{ 'a' * city|length * 200000000 }}")
    said = run("check", "campaign.yaml", code=2)
    assert "body.txt:2: the template needs more than 512 MB (row 1, line 2 of the list)" in said


def test_compiling(run: Run) -> None:
    Path("body.txt").write_text("Hi\n{{ 'a' * 3000000000 }}")
    said = run("preview", "campaign.yaml", code=2)
    assert "the template needs more than 512 MB" in said
    assert "Traceback" not in said
    assert len(said) < 500


@pytest.mark.parametrize("key", ["where", "name"])
def test_the_list_s_own_templates(run: Run, key: str) -> None:
    slow = (
        "range(99999)|map('string')|map('list')|map('sort')|list" + "|map('sort')|list" * 60 + "|length > 0"
    )
    template = slow if key == "where" else f"{{{{ {slow} }}}}"
    campaign = Path("campaign.yaml")
    recipients = f'recipients: {{csv: list.csv, {key}: "{template}"}}'
    campaign.write_text(campaign.read_text().replace("recipients: list.csv", recipients))
    said = run("check", "campaign.yaml", code=2)
    assert f"recipients.{key}" in said
    assert "too much work" in said or "needs more than 512 MB" in said
    assert "(row 1, line 2 of the list)" in said
