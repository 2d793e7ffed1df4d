"""Counts by status, by domain and over time are right however the rows are distributed."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from campaign.ledger import Ledger
from campaign.model import Status
from tests.ledger.book import NOW, database, enrol, people

# A run that does not exist counts as dead: its rows in flight are reported as in doubt.
_STORED = [status for status in Status if status is not Status.IN_FLIGHT]
_ROWS = st.lists(
    st.tuples(
        st.sampled_from(_STORED),
        st.sampled_from(["", "@a.example", "@b.example", "@c.example"]),
        st.one_of(st.none(), st.integers(NOW, NOW + 20)),
    ),
    max_size=40,
)


@given(rows=_ROWS, others=st.integers(0, 3), places=st.integers(1, 8))
def test_every_row_is_counted_once(
    rows: list[tuple[Status, str, int | None]], others: int, places: int
) -> None:
    ledger = Ledger.temporary("news")
    try:
        enrol(ledger, people(*(f"user{n}@example.com" for n in range(len(rows)))))
        for number, changed in enumerate(rows, 1):
            database(ledger).change(
                "UPDATE messages SET status = ?, domain = ?, settled_at = ? WHERE number = ?",
                (*changed, number),
            )
        if others:
            enrol(
                Ledger(ledger.storage, "another", None), people(*(f"u{n}@d.example" for n in range(others)))
            )
        summary = ledger.history.summary(NOW)
        domains = ledger.history.domains(NOW, summary)
        curve = ledger.history.accepted_by_time(summary, places)
    finally:
        ledger.close()
    assert Counter(summary.counts) == Counter(status for status, _, _ in rows)
    assert {(domain, status): count for domain, counts in domains for status, count in counts.items()} == (
        Counter((domain[1:], status) for status, domain, _ in rows if domain)
    )
    assert [domain for domain, _ in domains] == sorted(
        (domain for domain, _ in domains), key=lambda one: (-sum(dict(domains)[one].values()), one)
    )
    times = sorted(time for status, _, time in rows if status is Status.ACCEPTED and time is not None)
    assert len(curve) <= places
    assert bool(curve) == bool(times)
    for time, count in curve:
        assert time in times
        assert count == sum(other <= time for other in times)
    if times:
        assert curve[-1] == (times[-1], len(times))
