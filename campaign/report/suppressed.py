"""The suppression list as a CSV that `campaign suppress import` reads."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from campaign.outfile import Kind
from campaign.report.machine import iso

if TYPE_CHECKING:
    from campaign.ledger import Suppression

_COLUMNS = ("address", "reason", "added_at")


class _Text(Protocol):
    def write(self, text: str, /) -> object: ...


def write(out: _Text, entries: Iterable[Suppression]) -> int:
    """Write entries, and return how many they were."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    count = 0
    for count, entry in enumerate(entries, 1):
        writer.writerow([entry.pattern, entry.reason, iso(entry.added_at)])
    return count


def _is_list(head: bytes) -> bool:
    """Whether a file has our columns and no others. A spreadsheet may have added a BOM."""
    first, _, _ = head.decode("utf-8-sig", "replace").partition("\n")
    return first.rstrip("\r") == ",".join(_COLUMNS)


LIST = Kind("an exported suppression list", _is_list, private=True)
