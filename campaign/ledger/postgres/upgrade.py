"""How the tables of an earlier version become this one's: one step for each version.

A step is executed while workers of the earlier release may be sending, and must let them go on; once they
have ended, they refuse a ledger that is newer than they are.
"""

from __future__ import annotations

from campaign.ledger.postgres.pace import BOOK
from campaign.ledger.postgres.procedure import RECORD

# No table changes. From 1: each message's intent and result become one call of a function. From 2: a wider
# window is waited for once, and a standby that takes over waits for places that it has not heard of.
STEPS = (RECORD, BOOK)
"""Statements that lead from version 1 to 2, from 2 to 3, and so on."""
