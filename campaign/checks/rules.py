"""The rules, in the order in which their warnings are shown, and running them.

A rule looks at a prepared campaign and yields warnings; what makes sending impossible was found
before (`campaignfile`, `templating`, `preparation`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module

from campaign.checks.checked import Checked
from campaign.errors import Problem
from campaign.preparation import Preparation

RULES = (
    "nobody",
    "duplicates",
    "subject",
    "blank",
    "leftovers",
    "images",
    "sender",
    "dkim",
    "unsubscribe",
    "provider",
    "attachments",
    "size",
    "clipped",
)


def warnings(preparation: Preparation) -> Iterator[Problem]:
    """Yield what each rule finds, and what the list and the templates warned of."""
    yield from preparation.campaign.warnings
    yield from preparation.recipients.warnings
    first = preparation.survey.first_recipient
    text, html = preparation.renderer.parts(first) if first is not None else (None, None)
    checked = Checked(preparation, text, html)
    for rule in RULES:
        yield from import_module(f"campaign.checks.{rule}").check(replace(checked, rule=rule))
