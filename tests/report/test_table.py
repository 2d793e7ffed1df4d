"""Rows as CSV: what the csv module reads of them is what they were, and it would write them so."""

from __future__ import annotations

import csv
import io
import json

from hypothesis import given
from hypothesis import strategies as st

from campaign.ledger.history import CellBatch
from campaign.model import Status
from campaign.report.table import write

_COLUMNS = ("email", "city")
_CELL = st.one_of(
    st.text(st.sampled_from("a ,\"\\\n[]'\t\u00e9\U0001f600"), max_size=4), st.sampled_from(["", ",", '","'])
)
_ROWS = st.lists(
    st.tuples(
        st.one_of(st.just([]), st.lists(_CELL, min_size=1, max_size=2)),
        st.sampled_from(list(Status)),
        st.sampled_from(["", "250 2.0.0 Ok", "250 Ok, queued", '550 "no"']),
    ),
    min_size=1,
    max_size=3,
)


@given(some=st.lists(_ROWS, max_size=3))
def test_rows_are_written_as_the_csv_module_does(
    some: list[list[tuple[list[str], Status, str]]],
) -> None:
    out, expected = io.StringIO(newline=""), io.StringIO(newline="")
    count = write(
        out,
        _COLUMNS,
        [
            CellBatch(
                [""] * len(rows),
                [json.dumps(cells, ensure_ascii=False, separators=(",", ":")) for cells, _, _ in rows],
                [status for _, status, _ in rows],
                [reply for _, _, reply in rows],
            )
            for rows in some
        ],
        {},
    )
    blank = [""] * len(_COLUMNS)  # for cells that are unknown
    every = [[*(cells + blank)[:2], status, reply] for rows in some for cells, status, reply in rows]
    csv.writer(expected, lineterminator="\n").writerows(
        [[*_COLUMNS, "campaign_status", "campaign_reply"], *every]
    )
    assert out.getvalue() == expected.getvalue()
    assert count == len(every)
