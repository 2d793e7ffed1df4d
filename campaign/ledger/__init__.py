"""The ledger: which recipients a campaign has, which were mailed, and what the server answered.

The interfaces that only enrolment and sending need are in `protocols`.
"""

from campaign.ledger.history import CopyEntry, Entry, History, Summary
from campaign.ledger.ledger import Ledger
from campaign.ledger.patterns import Forgotten, described, parse_pattern
from campaign.ledger.scope import Scope
from campaign.ledger.suppressions import Suppression, Suppressions

__all__ = [
    "CopyEntry",
    "Entry",
    "Forgotten",
    "History",
    "Ledger",
    "Scope",
    "Summary",
    "Suppression",
    "Suppressions",
    "described",
    "parse_pattern",
]
