"""The ledger: who was mailed, who is still to be mailed, and what was answered."""

from campaign.ledger.ledger import Ledger
from campaign.ledger.patterns import Forgotten, described, parse_pattern
from campaign.ledger.protocols import (
    WINDOW,
    Choices,
    Claim,
    CopyEntry,
    Enrolment,
    Entry,
    History,
    Intent,
    Plan,
    Run,
    Summary,
    copy_key,
)
from campaign.ledger.scope import Scope
from campaign.ledger.suppressions import Suppression, Suppressions

__all__ = [
    "WINDOW",
    "Choices",
    "Claim",
    "CopyEntry",
    "Enrolment",
    "Entry",
    "Forgotten",
    "History",
    "Intent",
    "Ledger",
    "Plan",
    "Run",
    "Scope",
    "Summary",
    "Suppression",
    "Suppressions",
    "copy_key",
    "described",
    "parse_pattern",
]
