"""Show the plan and the state of a campaign as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from campaign.address import display_address, display_domain
from campaign.ledger import History, Summary
from campaign.model import SECOND, Status, Window
from campaign.report.words import MEANING, NO_ADDRESS, alike, average, clock, duration, going_on, without
from campaign.wording import counted, shortened

if TYPE_CHECKING:  # `status` needs neither pydantic nor Jinja2
    from campaign.campaignfile.models import CampaignFile
    from campaign.ledger.protocols import Plan
    from campaign.sending.pace.outlook import Outlook
    from campaign.survey import Survey


def plan_lines(
    campaign: CampaignFile, plan: Plan, survey: Survey, wait: int, now: int, limit: int | None = None
) -> Iterator[str]:
    """Yield the plan of a send; by the rate it takes `wait` ns from `now`, UTC ns.

    This run makes at most `limit` attempts.
    """
    yield f"{campaign.name}: {plan.to_send:,} to send"
    if limit is not None and limit < plan.to_send + plan.copies:
        yield f"  in this run: {limit:,} at most (--limit)"
    if plan.twice:
        yield f"  twice:       {plan.twice:,} may get it a second time: they are in doubt (--resend-doubt)"
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
    if plan.rekeyed:
        go = counted(plan.rekeyed, "of the new rows goes", "of the new rows go")
        yield f"  again:       {go} to addresses that have had this campaign under another key"
    if plan.further:
        go = counted(plan.further, "of the new rows goes", "of the new rows go")
        yield f"  one more:    {go} to people who have had another message of this campaign"
    if plan.first:
        yield f"  first, last: {display_address(plan.first)} … {display_address(plan.last)}"
    if plan.copies:
        owed = counted(plan.copies, "copy", "copies")
        yield f"  copies left: {owed} by cc or bcc of messages that were accepted"
    copies = survey.addresses - survey.messages
    if copies:
        yield f"  mails:       {survey.addresses:,}, with {copies:,} by cc and bcc"
    left_out = {
        "accepted earlier": plan.accepted,
        "refused earlier (--retry-refused)": plan.refused - plan.barred,
        "refused earlier and suppressed (campaign suppress remove)": plan.barred,
        "in doubt (campaign resolve)": plan.in_doubt,
        "suppressed": plan.suppressed,
        f"suppressed {'copy' if survey.suppressed_copies == 1 else 'copies'}": survey.suppressed_copies,
        f"{'bad row' if plan.invalid == 1 else 'bad rows'}, skipped": plan.invalid,
        "left the list": plan.withdrawn,
        "double": survey.doubles,
    }
    if any(left_out.values()):
        yield "  not sent:    " + ", ".join(f"{count:,} {what}" for what, count in left_out.items() if count)
    smtp = campaign.smtp
    user = f" as {smtp.username}" if smtp.username else ""
    yield f"  server:      {smtp.host}:{smtp.port} ({smtp.security}){user}"
    if smtp.window > 1:
        each = " of each worker" if campaign.workers is not None and campaign.workers.count > 1 else ""
        most = f"{smtp.most_unanswered:,} messages{each}"
        yield (
            f"  window:      {most} can be unanswered at once: that many can be in doubt after a crash or"
            " a broken connection"
        )
    windows = ", ".join(map(str, campaign.windows))
    if not windows:
        yield "  rate:        no limit: as fast as the server accepts"
    elif wait < 2 * SECOND:
        yield f"  rate:        {windows}"
    else:
        ends = f"until {clock(now + wait)} ({duration(wait / SECOND)}) at the earliest"
        yield f"  rate:        {windows}: {ends}"
    if wait >= _LONG:
        yield (
            "  meanwhile:   you can stop it (Ctrl-C) or switch the machine off: `campaign send` resumes it"
        )


_LONG = 3600 * SECOND  # people do not wait for a longer run


def summary_lines(name: str, summary: Summary) -> Iterator[str]:
    """Yield the counts, each with its meaning."""
    yield f"{name}: {summary.counts[Status.ACCEPTED]:,} of {summary.on_list:,} accepted"
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
        yield ", ".join(filter(None, [f"  from {clock(first)} to {clock(last)}", average(summary)]))


_MOST_SAID = 600  # characters of a reply: those of Gmail and Outlook end with a link


def reply_lines(replies: Iterable[tuple[Status, str, int]], most: int = 8) -> Iterator[str]:
    """Yield the most frequent replies to messages that were not accepted, with their meanings."""
    every = alike(replies)
    if every:
        yield "  replies:"
    for reply in every[:most]:
        means = f" ({reply.meaning})" if reply.meaning else ""
        said = f"{shortened(reply.words, _MOST_SAID)}{means}"
        yield f"    {reply.rows:,} × {reply.status.replace('_', ' ')}: {said}"
    if len(every) > most:
        others = counted(len(every) - most, "other reply", "other replies")
        yield f"    and {others}: campaign export FILE --status refused,deferred"


def suppression_lines(count: int, file: str) -> Iterator[str]:
    """Yield the number of addresses that a run has suppressed, and how to see them."""
    if count:
        were = counted(count, "dead address was", "dead addresses were")
        yield f"  {were} suppressed: campaign suppress list --campaign {file}"


def domain_lines(history: History, summary: Summary, now: int, most: int = 10) -> Iterator[str]:
    """Yield a table of the domains with the most rows, and a line for the others: together, `summary`."""
    every = history.domains(now, summary)
    if len(every) < 2:
        return
    columns = [Status.ACCEPTED, Status.REFUSED, Status.IN_DOUBT, Status.DEFERRED, Status.PENDING]
    shown = [(display_domain(domain), counts) for domain, counts in every[:most]]
    others = without(summary.counts, [counts for _, counts in shown])
    if any(others.values()):
        shown.append(("others" if len(every) > most else NO_ADDRESS, others))
    width = max(len(name) for name, _ in shown)
    yield f"  {'domain':<{width}}" + "".join(f"{status.replace('_', ' '):>10}" for status in columns)
    for name, counts in shown:
        cells = "".join(f"{counts.get(status, 0) or '·':>10}" for status in columns)
        yield f"  {name:<{width}}{cells}"


def outlook_lines(outlook: Outlook | None, windows: Sequence[Window], now: int) -> Iterator[str]:
    """Yield why nothing is sent at `now`, UTC ns, until when, and when the run will end."""
    if outlook is None:
        return
    said = going_on(outlook, now)
    took = f" ({duration((outlook.ends_at - now) / SECOND)})" if outlook.ends_at > now else ""
    rate = f"rate {', '.join(map(str, windows))}: " if windows and outlook.limit is None else ""
    if windows or outlook.next_at > now:
        yield f"  {rate}{said}{took}"


def next_lines(file: str, summary: Summary) -> Iterator[str]:
    """Yield what the user can do next."""
    counts = summary.counts
    if summary.sending:
        yield f"  process {summary.sending[0]} on {summary.sending[1]} is sending it now"
    elif summary.waiting:
        yield f"  to resume: campaign send {file}"
    if summary.in_doubt:
        yield f"  to settle what is in doubt: campaign resolve {file}"
    if counts[Status.REFUSED]:
        yield f"  the refused ones as a list: campaign export {file} --status refused"
    if summary.left_out:
        left = counted(summary.left_out, "bad row")
        yield f"  {left} left out, to correct: campaign export {file} --status invalid"
        yield f"  once the list is corrected: campaign send {file}"
