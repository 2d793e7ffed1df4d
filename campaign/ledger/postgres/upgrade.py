"""Upgrades the tables of earlier versions, one step per version.

A step is executed while workers of the earlier release may be sending, and must let them continue. The next
time they start, they refuse the ledger, because it is newer than they are.
"""

from __future__ import annotations

from campaign.ledger.postgres.pace import BOOK
from campaign.ledger.postgres.procedure import RECORD

# No step changes a table. From 1: intents and results of messages are recorded by one call of a function.
# From 2: a wider rate window is waited for once; a standby that takes over waits for slots that it may not
# know of.
STEPS = (RECORD, BOOK)
"""Statements that upgrade from version 1 to 2, from 2 to 3, and so on."""
