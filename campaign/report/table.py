"""Ledger rows → CSV: the original columns, `campaign_status` and `campaign_reply`.

The file is itself a valid list: what was refused can be corrected in it and sent again.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import TextIO

from campaign.ledger import Entry

STATUS, REPLY = "campaign_status", "campaign_reply"


def write(out: TextIO, columns: tuple[str, ...], entries: Iterable[Entry]) -> int:
    """Write the rows and return how many they were. `out` is opened with newline=""."""
    writer = csv.writer(out, lineterminator="\n")
    original = [column for column in columns if column not in (STATUS, REPLY)]
    writer.writerow([*original, STATUS, REPLY])
    count = 0
    for entry in entries:
        count += 1
        cells = [entry.row.get(column, "") for column in original]
        writer.writerow([*cells, entry.status, " ".join(entry.reply.split())])
    return count
