"""The ledger: who was mailed, who is to be mailed, and what was answered."""

from campaign.ledger.ledger import Ledger
from campaign.ledger.protocols import Claim, Intent, Run, Scope
from campaign.ledger.sqlite.database import Database
from campaign.ledger.sqlite.enrolment import Choices, Enrolment, Plan
from campaign.ledger.sqlite.history import Entry, History, Summary
from campaign.ledger.sqlite.suppression import Suppression, Suppressions, parse_pattern

__all__ = [
    "Choices",
    "Claim",
    "Database",
    "Enrolment",
    "Entry",
    "History",
    "Intent",
    "Ledger",
    "Plan",
    "Run",
    "Scope",
    "Summary",
    "Suppression",
    "Suppressions",
    "parse_pattern",
]
