"""Write the suppression list as a CSV that `campaign suppress import` reads."""

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


def write(out: _Text, entries: Iterable[Suppression]) -> tuple[int, int]:
    """Write entries; return how many were written, and how many were left out.

    Entries for a single campaign are left out, because they would apply to all campaigns after an import.
    """
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    written = held = 0
    for entry in entries:
        if entry.held_for:
            held += 1
        else:
            writer.writerow([entry.pattern, entry.reason, iso(entry.added_at)])
            written += 1
    return written, held


def _is_list(head: bytes) -> bool:
    """Whether a file has exactly our columns. A spreadsheet may have added a BOM."""
    first, _, _ = head.decode("utf-8-sig", "replace").partition("\n")
    return first.rstrip("\r") == ",".join(_COLUMNS)


LIST = Kind("an exported suppression list", _is_list, private=True)
