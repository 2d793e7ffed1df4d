"""Show the state of a campaign as one self-contained HTML page: no network, no script, also for print.

Replies and addresses are untrusted; the template escapes every value.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import jinja2

from campaign.address import display_domain
from campaign.ledger import History, Ledger, Summary
from campaign.ledger.history import on_list
from campaign.model import SECOND, Status
from campaign.outfile import Kind, is_page
from campaign.report.curve import POINTS, curve
from campaign.report.returned import WORDS, summed_up
from campaign.report.words import MEANING, NO_ADDRESS, alike, average, clock, duration, explain, without
from campaign.wording import counted

# Private, because replies may contain addresses.
REPORT = Kind("a page of campaign's", is_page, private=True)

_DOMAINS = 20
_REPLIES = 30
# The order in bars and tables: from good to bad to undecided.
_ORDER = (
    Status.ACCEPTED, Status.REFUSED, Status.IN_DOUBT, Status.DEFERRED, Status.IN_FLIGHT, Status.PENDING,
    Status.SUPPRESSED, Status.WITHDRAWN, Status.INVALID,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Count:
    """Rows with one status, and their share of the list in per cent; None if they are not on the list."""

    status: str
    words: str
    meaning: str
    rows: int
    share: float | None


@dataclass(frozen=True, slots=True)
class _Domain:
    name: str
    rows: int
    counts: tuple[_Count, ...]


@dataclass(frozen=True, slots=True)
class _Step:
    """Something to do next; `command` may be ""."""

    what: str
    command: str


def page(name: str, file: str, ledger: Ledger, summary: Summary, now: int) -> str:
    """Return the page for a campaign and its file; `summary` is its state at `now`, UTC ns."""
    history = ledger.history
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["share"] = _share
    template = environment.from_string(Path(__file__).with_name("page.html.j2").read_text(encoding="utf-8"))
    domains, others = _domains(history, summary, now)
    replies = alike(history.replies(now))
    first = summary.first_accepted_at
    return template.render(
        name=name,
        when=clock(now),
        zone=_zone(now),
        total=summary.on_list,
        accepted=summary.counts[Status.ACCEPTED],
        state=_state(summary),
        counts=_counts(summary.counts),
        facts=list(_facts(summary)),
        steps=list(_steps(shlex.quote(file), summary, now)),
        curve=curve(history.accepted_by_time(summary, POINTS), first) if first is not None else None,
        domains=domains,
        other_domains=others,
        replies=replies[:_REPLIES],
        returned=summed_up(ledger.returns().counts()),
        codes=[
            (display_domain(domain), WORDS[kind], code, explain(code), count)
            for domain, kind, code, count in ledger.returns().codes(_REPLIES)
        ],
        other_replies=len(replies) - _REPLIES,
        export=f"campaign export {shlex.quote(file)} --status refused,deferred,in_doubt",
    )


def _counts(counts: Mapping[Status, int]) -> tuple[_Count, ...]:
    total = on_list(counts)
    return tuple(
        _Count(
            status,
            status.replace("_", " "),
            MEANING[status],
            rows,
            None if status is Status.WITHDRAWN else 100 * rows / total,
        )
        for status in _ORDER
        if (rows := counts.get(status, 0))
    )


def _share(share: float | None) -> str:
    """Return a percentage. Only everything is shown as 100 %, and only nothing as 0 %."""
    if share is None:
        return ""
    if share in (0, 100):
        return f"{share:.0f} %"
    return "< 0.1 %" if share < 0.1 else f"{min(share, 99.9):.1f} %"


def _state(summary: Summary) -> str:
    counts = summary.counts
    if summary.sending:
        return f"Process {summary.sending[0]} on {summary.sending[1]} is sending it now."
    if summary.waiting:
        return "Not finished: some are waiting to be sent."
    if summary.in_doubt:
        return "Sent. For some it is not known whether they arrived."
    if summary.refused:
        return "Finished. The server would not take some of them."
    if counts[Status.INVALID]:
        return "Sent. Bad rows were left out."
    return "Finished."


def _facts(summary: Summary) -> Iterator[tuple[str, str]]:
    first, last = summary.first_accepted_at, summary.last_accepted_at
    if first is None or last is None:
        return
    yield "First accepted", clock(first)
    yield "Last accepted", clock(last)
    took = (last - first) / SECOND
    if took >= 1:
        yield "Took", duration(took)
    if fast := average(summary):
        yield "On average", fast


def _steps(file: str, summary: Summary, now: int) -> Iterator[_Step]:
    counts = summary.counts
    if summary.sending:
        yield _Step("It is being sent. To watch it:", f"campaign status {file} --watch")
    elif summary.waiting:
        due = summary.next_due
        later = f"; the next one is due at {clock(due)}" if due is not None and due > now else ""
        yield _Step(f"{_rows(summary.waiting)} still to be sent{later}. To go on:", f"campaign send {file}")
    if counts[Status.IN_DOUBT]:
        yield _Step(
            f"{_rows(counts[Status.IN_DOUBT])} in doubt: sent, and it is not known whether the server took"
            " it. Nothing is resent automatically. Look into the server's log, or ask the recipients, then:",
            f"campaign resolve {file}",
        )
    if counts[Status.REFUSED]:
        yield _Step(
            f"{_rows(counts[Status.REFUSED])} refused. Correct the addresses in the list and send again: only"
            " what was corrected is sent. These rows as a list of their own:",
            f"campaign export {file} --status refused -o refused.csv",
        )
    if counts[Status.INVALID]:
        yield _Step(
            f"{_rows(counts[Status.INVALID])} skipped, because something is wrong with them. To see what:",
            f"campaign check {file}",
        )


def _rows(count: int) -> str:
    return counted(count, "row is", "rows are")


def _domains(history: History, summary: Summary, now: int) -> tuple[list[_Domain], int]:
    """Return the domains with the most rows, the rows without one, and the number of other domains."""
    every = history.domains(now, summary)
    shown = [
        _Domain(display_domain(domain), on_list(counts), _counts(counts))
        for domain, counts in every[:_DOMAINS]
    ]
    nowhere = without(summary.counts, (counts for _, counts in every))
    if shown and any(nowhere.values()):
        shown.append(_Domain(NO_ADDRESS, on_list(nowhere), _counts(nowhere)))
    return shown, max(0, len(every) - _DOMAINS)


def _zone(now: int) -> str:
    local = datetime.fromtimestamp(now / SECOND, UTC).astimezone()
    offset = local.strftime("%z")
    return f"UTC{offset[:3]}:{offset[3:]}"
