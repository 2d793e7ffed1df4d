"""Where a campaign stands, as text for a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from campaign.address import display_address, display_domain
from campaign.ledger import History, Plan, Summary
from campaign.model import SECOND, Status
from campaign.report.words import MEANING, alike, clock, duration, speed
from campaign.wording import counted

if TYPE_CHECKING:  # `status` needs neither pydantic nor Jinja2
    from campaign.campaignfile.identity import Identity
    from campaign.campaignfile.models import CampaignFile
    from campaign.ledger import Ledger
    from campaign.preparation import Survey


def plan_lines(campaign: CampaignFile, plan: Plan, survey: Survey, wait: int, now: int) -> Iterator[str]:
    """Yield what a send will do; it will take `wait` ns by the rate from `now`, UTC ns."""
    yield f"{campaign.name}: {plan.to_send:,} to send"
    parts = {
        "new": plan.new,
        "waiting since earlier": plan.waiting,
        "changed since": plan.changed,
        "back on the list": plan.returned,
        "tried again": plan.again,
        "deferred, tried again": plan.deferred,
    }
    if plan.to_send != plan.new:
        yield "  of these:    " + ", ".join(f"{count:,} {what}" for what, count in parts.items() if count)
    if plan.first:
        yield f"  first, last: {display_address(plan.first)} … {display_address(plan.last)}"
    if plan.copies:
        owed = counted(plan.copies, "copy", "copies")
        yield f"  owed still:  {owed} by cc or bcc of messages that were accepted"
    copies = survey.addresses - survey.messages
    if copies:
        yield f"  mails:       {survey.addresses:,}, with {copies:,} by cc and bcc"
    left_out = {
        "accepted earlier": plan.accepted,
        "refused earlier (--retry-refused)": plan.refused - plan.barred,
        "refused earlier and suppressed (campaign suppress remove)": plan.barred,
        "in doubt (campaign resolve)": plan.in_doubt,
        "suppressed": plan.suppressed,
        "bad rows, skipped": plan.invalid,
        "left the list": plan.withdrawn,
        "double": survey.duplicates.count,
    }
    if any(left_out.values()):
        yield "  not sent:    " + ", ".join(f"{count:,} {what}" for what, count in left_out.items() if count)
    smtp = campaign.smtp
    user = f" as {smtp.username}" if smtp.username else ""
    yield f"  server:      {smtp.host}:{smtp.port} ({smtp.security}){user}"
    windows = ", ".join(map(str, campaign.windows))
    if not windows:
        yield "  rate:        no limit is given: as fast as the server takes it"
    elif wait < 2 * SECOND:
        yield f"  rate:        {windows}"
    else:
        ends = f"until {clock(now + wait)} ({duration(wait / SECOND)}) at the earliest"
        yield f"  rate:        {windows}: {ends}"


def summary_lines(name: str, summary: Summary) -> Iterator[str]:
    """Yield the counts, each with its meaning."""
    total = sum(summary.counts.values())
    yield f"{name}: {summary.counts[Status.ACCEPTED]:,} of {total:,} accepted"
    width = max((len(f"{count:,}") for count in summary.counts.values()), default=1)
    for status, count in summary.counts.items():
        if count:
            yield f"  {count:>{width},} {status.replace('_', ' '):<10}  {MEANING[status]}"
    for status, count in summary.copies.items():
        if count:
            copies = counted(count, "copy", "copies")
            yield f"  {copies} by cc or bcc {status.replace('_', ' ')}: {MEANING[status]}"
    first, last = summary.first_accepted_at, summary.last_accepted_at
    if first is not None and last is not None:
        fast = speed(summary.counts[Status.ACCEPTED], (last - first) / SECOND)
        yield ", ".join(filter(None, [f"  from {clock(first)} to {clock(last)}", fast]))


def rate_lines(campaign: Identity, ledger: Ledger, summary: Summary, now: int) -> Iterator[str]:
    """Yield when the rate lets what waits be finished; nothing if there is no rate. `now` is UTC ns."""
    if not summary.waiting or not campaign.windows or campaign.host is None:
        return
    from campaign.ledger import Scope
    from campaign.sending.account import load_pace
    from campaign.sending.pacing import LocalPace

    pace = LocalPace(campaign.windows)
    scope = Scope(campaign.host, campaign.username or "")
    load_pace(pace, scope, campaign.windows, ledger, time.monotonic_ns())
    wait = pace.finish(time.monotonic_ns(), summary.waiting)
    wait = max(wait, (summary.next_due or now) - now)
    rate = ", ".join(map(str, campaign.windows))
    yield f"  rate {rate}: until {clock(now + wait)} ({duration(wait / SECOND)}) at the earliest"


def reply_lines(replies: Iterable[tuple[Status, str, int]], most: int = 8) -> Iterator[str]:
    """Yield the most frequent replies to what was not accepted, and what they mean."""
    every = alike(replies)
    if every:
        yield "  what was said:"
    for reply in every[:most]:
        means = f" ({reply.meaning})" if reply.meaning else ""
        yield f"    {reply.rows:,} × {reply.status.replace('_', ' ')}: {reply.words}{means}"
    if len(every) > most:
        others = counted(len(every) - most, "other reply", "other replies")
        yield f"    and {others}: campaign export FILE --status refused,deferred"


def suppression_lines(count: int, file: str) -> Iterator[str]:
    """Yield how many addresses a run has suppressed, and how to see them."""
    if count:
        were = counted(count, "dead address was", "dead addresses were")
        yield f"  {were} suppressed: campaign suppress list --campaign {file}"


def domain_lines(history: History, now: int, most: int = 10) -> Iterator[str]:
    """Yield a table of the domains with the most rows."""
    domains = history.domains(now, most)
    if len(domains) < 2:
        return
    width = max(len(display_domain(domain)) for domain, _ in domains)
    columns = [Status.ACCEPTED, Status.REFUSED, Status.DEFERRED, Status.PENDING]
    yield f"  {'domain':<{width}}" + "".join(f"{status:>10}" for status in columns)
    for domain, counts in domains:
        cells = "".join(f"{counts.get(status, 0) or '·':>10}" for status in columns)
        yield f"  {display_domain(domain):<{width}}{cells}"


def next_lines(file: str, summary: Summary, now: int) -> Iterator[str]:
    """Yield what a person may do next."""
    counts = summary.counts
    if summary.sending:
        yield f"  process {summary.sending[0]} on {summary.sending[1]} is sending it now"
    elif summary.waiting:
        due = summary.next_due
        later = f" (the next one is due at {clock(due)})" if due is not None and due > now else ""
        yield f"  to go on{later}: campaign send {file}"
    if summary.in_doubt:
        yield f"  to settle what is in doubt: campaign resolve {file}"
    if counts[Status.REFUSED]:
        yield f"  the refused ones as a list: campaign export {file} --status refused"
