"""Write ledger rows as CSV: the original columns, `campaign_status` and `campaign_reply`.

`campaign_copies` is added if copies were not accepted, and `campaign_returned`, on request, for bounces,
complaints and unsubscribes.

The file is itself a valid list: refused addresses can be corrected in it and sent again.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from campaign.ledger import CopyEntry
from campaign.ledger.history import CellBatch
from campaign.model import Status
from campaign.outfile import Kind

STATUS, REPLY, COPIES = "campaign_status", "campaign_reply", "campaign_copies"
RETURNED = "campaign_returned"
_OURS = (STATUS, REPLY, COPIES, RETURNED)

COPY_STATUSES = (
    Status.PENDING, Status.IN_FLIGHT, Status.REFUSED, Status.DEFERRED, Status.IN_DOUBT, Status.SUPPRESSED,
)  # fmt: skip


class Writable(Protocol):
    """A text stream that a CSV can be written to."""

    def write(self, text: str, /) -> object:
        """Write text unchanged, including line feeds."""


def copies_by_key(copies: Iterable[CopyEntry]) -> dict[str, str]:
    """Return the state of each row's copies by key, such as `boss@example.com: deferred: 450 busy`."""
    said: dict[str, str] = {}
    for copy in copies:
        words = ": ".join(filter(None, (copy.address, copy.status, " ".join(copy.reply.split()))))
        said[copy.key] = f"{said[copy.key]}; {words}" if copy.key in said else words
    return said


def write(
    out: Writable,
    columns: Sequence[str],
    rows: Iterable[CellBatch],
    copies: Mapping[str, str],
    returned: Mapping[str, str] | None = None,
) -> int:
    """Write rows with their cells of `columns`, and return their number.

    `copies` has, by key, the state of a row's copies that were not accepted. If `returned` is given, only
    the rows in it are written, with what came back of them.
    """
    further = [(COPIES, copies)] if copies else []
    further += [(RETURNED, returned)] if returned is not None else []
    out.write(_csv([[*columns, STATUS, REPLY, *(column for column, _ in further)]]))
    count = 0
    for some in rows:
        replies = _in_one_line(some.replies)
        if not further and (text := _without_quotes(len(columns), some, replies)) is not None:
            out.write(text)
            count += len(some.cells)
            continue
        cells: list[list[str]] = json.loads(f"[{','.join(some.cells)}]")
        for row, status, reply in zip(cells, some.statuses, replies, strict=True):
            row += [""] * (len(columns) - len(row))  # the cells of a bad row may be unknown
            row.append(status)
            row.append(reply)
        for _, by_key in further:
            for row, key in zip(cells, some.keys, strict=True):
                row.append(by_key.get(key, ""))
        if returned is not None:
            cells = [row for key, row in zip(some.keys, cells, strict=True) if key in returned]
        out.write(_csv(cells))
        count += len(cells)
    return count


def _csv(rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _without_quotes(width: int, some: CellBatch, replies: Sequence[str]) -> str | None:
    """Return rows of `width` cells as CSV if nothing in them needs quotes or is missing, otherwise None.

    The csv module looks at each character and takes three times as long. The cells are JSON lists: if they
    have no backslash, no cell contains quotes or line ends, and each quote begins or ends a cell. Then no
    cell contains a comma if there are only as many commas as cells need between them.
    """
    listed, said, count = "".join(some.cells), "".join(replies), len(some.cells)
    if "\\" in listed or listed.count('"') != 2 * width * count or listed.count(",") != (width - 1) * count:
        return None
    if "," in said or '"' in said:
        return None
    rows = zip([row[2:-2] for row in some.cells], some.statuses, replies, strict=True)
    return "\n".join([*map(",".join, rows), ""]).replace('","', ",")


def _in_one_line(replies: Sequence[str]) -> Sequence[str]:
    """Return replies without line ends, and with single spaces between words."""
    said = " | ".join(["", *filter(None, replies), ""])
    if said.isprintable() and "  " not in said:  # one look for many rows
        return replies
    return [" ".join(reply.split()) for reply in replies]


def original(columns: Iterable[str]) -> tuple[str, ...]:
    """Return the columns without those that an earlier export has added."""
    return tuple(column for column in columns if column not in _OURS)


def _is_export(head: bytes) -> bool:
    """Whether a file's header ends in our columns. A spreadsheet may have added a BOM."""
    try:
        header = next(csv.reader(head.decode("utf-8-sig", "replace").splitlines(keepends=True)))
    except (csv.Error, StopIteration):
        return False
    start = header.index(STATUS) if STATUS in header else len(header)
    ours = header[start:]
    return ours[:2] == [STATUS, REPLY] and set(ours) <= set(_OURS)


EXPORT = Kind("an export of campaign's", _is_export, private=True)
