"""The main job behind `send`, `send --dry-run`, `rehearse` and `test`: from a campaign file to sent mail.

    guards → open the ledger → guards → take the lease → read the secrets → prepare every row → plan
           → what differs from earlier runs → (the person agrees) → enrol → send → result

`run` takes these steps in this order for all four; `Mode` (plan.py) says how they differ. It prints
nothing and asks nobody: it calls an `Audience` (audience.py), which also says whether the person agrees.

A guard raises UserError: for example, another file used this name in the ledger, or no message fits into
the rate. If something differs from earlier runs (`Change`), `run` asks, or raises NotAccepted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

from campaign import clock
from campaign.campaignfile.models import CampaignFile
from campaign.checks.running import Checks
from campaign.errors import LedgerBusy, NotAccepted, Problem, UserError, raise_errors
from campaign.ledger import Ledger
from campaign.ledger.protocols import Run
from campaign.message.draftstore import DraftStore
from campaign.message.tokens import Secrets
from campaign.model import SECOND, Status
from campaign.preparation import compile_campaign, prepare
from campaign.sending.account import Started, load_pace, logins_of, scope_of, secrets_of
from campaign.sending.ahead import Ahead
from campaign.sending.audience import Audience, Finished
from campaign.sending.dispatch import Ending, Stop
from campaign.sending.lease import leased
from campaign.sending.network.connection import ConnectionLimits
from campaign.sending.pace.pacing import LocalPace
from campaign.sending.plan import Mode, Options, Plan
from campaign.sending.preflight.changes import changes, key_of
from campaign.sending.preflight.completeness import refuse_incomplete, refuse_new
from campaign.sending.preflight.guards import refuse_other_file
from campaign.sending.preflight.reading import refuse_unsendable
from campaign.sending.preflight.reception import warnings
from campaign.sending.sender import Sender
from campaign.sending.trial import Trial, TrialRenderer
from campaign.wording import counted

if TYPE_CHECKING:  # loaded only if workers send
    from campaign.sending.workers.packing import Packed

_TEST_MAX_WAIT = 60.0  # seconds that a test may wait for the rate
_MOST_REPLIES = 1000  # different replies in the summary

MOST_CHECKED = 100
"""How many messages of a run the rules of `check` see: checking one takes longer than making it."""


def run(campaign: CampaignFile, options: Options, audience: Audience) -> Finished:
    """Do the main job, and return its result.

    Raises UserError for what the person can correct, LeaseHeld, LeaseLost, ConnectFailed. UserError is
    raised only before anything has left; after that, BrokenOff.
    """
    refuse_unsendable(campaign, audience.progress, options.jobs)
    may_be_new = options.mode is not Mode.SEND or options.asks or options.new_ledger
    refuse_new(campaign, may_be_new=may_be_new)
    with _open_ledger(campaign, options.mode) as ledger:
        if options.mode is not Mode.TEST:
            refuse_incomplete(campaign, ledger, may_be_new=may_be_new)
        match options.mode:
            case Mode.DRY_RUN:
                refuse_other_file(campaign, ledger)
                secrets = replace(Secrets.placeholder(), ledger=ledger.secret)
                audience.planned(_plan(campaign, ledger, ledger, secrets, options, audience))
                return Finished(Stop(Ending.DONE))
            case Mode.TEST:
                return _test(campaign, ledger, options, audience)
            case Mode.SEND | Mode.REHEARSAL:
                refuse_other_file(campaign, ledger)
                lease = leased(campaign, ledger, options.wait, audience.waiting)
                with lease as run, closing(DraftStore()) as kept:
                    audience.leased(ledger)
                    finished = _send(campaign, ledger, run, options, audience, kept)
                return _with_lost_replies(finished, ledger)


def _send(
    campaign: CampaignFile, ledger: Ledger, run: Run, options: Options, audience: Audience, kept: DraftStore
) -> Finished:
    rehearsal = options.mode is Mode.REHEARSAL
    secrets = Secrets.placeholder() if rehearsal else secrets_of(campaign, ledger.secret)
    logins = options.logins or logins_of(campaign)
    machines = None if rehearsal or campaign.workers is None else ledger.machines
    plan = _plan(campaign, ledger, run, secrets, options, audience, kept if machines is None else None)
    audience.planned(plan)
    if plan.asks and not _agreed(plan, options, audience):
        return Finished(Stop(Ending.DECLINED))
    preparation = plan.preparation
    packed: Packed | None = None
    if machines is not None and plan.to_send:
        from campaign.sending.workers.packing import pack

        recipients, rows = preparation.recipients, preparation.enrolment.to_send()
        packed = pack(campaign, preparation.renderer, recipients.columns, rows, secrets)
    with suppress(LedgerBusy):  # a process that only locked the ledger has not taken the lease
        run.heartbeat(time.time_ns())
    preparation.enrolment.apply(time.time_ns())
    ledger.adopt(key_of(campaign) if plan.to_send else None)
    if plan.to_send:
        ledger.set_digest(preparation.renderer.digest)
    if machines is not None:
        if packed is not None:
            machines.begin(packed.document, packed.blobs)
        summary = replace(ledger.history.summary(time.time_ns()), sending=None)
        return Finished(Stop(Ending.DONE if packed is None else Ending.HANDED_OVER), summary)
    began = time.monotonic()
    with closing(Ahead(preparation.renderer, kept)) as drafted:
        sender = Sender(campaign, drafted, run, logins, audience, limit=options.limit)
        drafted.follow(sender.dispatch.upcoming)
        with audience.sending(sender, plan.to_send):
            stop = sender.send()
    took = time.monotonic() - began
    now = time.time_ns()
    summary = replace(ledger.history.summary(now), sending=None)  # that was us
    replies = tuple(islice(ledger.history.replies(now), _MOST_REPLIES))
    copies = summary.copies_not_started + summary.copies[Status.IN_FLIGHT]
    left = plan.addresses_of(summary.waiting - copies) + copies
    ahead = sender.outlook(left, summary.next_due, summary.last_due) if left else None
    return Finished(stop, summary, replies, (), took, run.addresses_suppressed(), ahead)


def _with_lost_replies(finished: Finished, ledger: Ledger) -> Finished:
    """Return the result after the run has ended: a message still in flight then is now in doubt."""
    summary, lost = finished.summary, Status.IN_FLIGHT
    if summary is None or not summary.counts[lost] + summary.copies[lost]:
        return finished
    return replace(finished, summary=replace(ledger.history.summary(time.time_ns()), sending=None))


def _test(campaign: CampaignFile, ledger: Ledger, options: Options, audience: Audience) -> Finished:
    raise_errors(
        Problem(f"{address} is suppressed: it gets nothing")
        for address in options.test_to
        if ledger.is_suppressed(address)
    )
    recipients, renderer = compile_campaign(campaign, secrets_of(campaign, ledger.secret))
    row = recipients.row(options.row)
    renderer.render(row, date=datetime.now(UTC))  # raises for a bad row before anything connects
    logins = options.logins or logins_of(campaign)
    shared = ledger.machines is not None  # a test claims no row, so that workers may send meanwhile
    with leased(campaign, ledger, options.wait, audience.waiting, shared=shared) as run:
        _refuse_long_wait(campaign, run, len(options.test_to))
        trial = Trial(row, options.test_to, run)
        once = ConnectionLimits(openings=1)
        sender = Sender(campaign, TrialRenderer(renderer, row), trial, logins, audience, limits=once)
        with audience.sending(sender, len(options.test_to)):
            stop = sender.send()
    return Finished(stop, results=tuple(trial.results.values()))


def _plan(
    campaign: CampaignFile,
    ledger: Ledger,
    starts: Started,
    secrets: Secrets,
    options: Options,
    audience: Audience,
    kept: DraftStore | None = None,
) -> Plan:
    """Prepare every row. Raises UserError for bad rows, unless they are to be skipped."""
    # A rehearsal shows no plan, and so no findings either.
    shows_plan = options.mode in (Mode.SEND, Mode.DRY_RUN)
    checks = Checks(campaign, most=MOST_CHECKED) if shows_plan else None
    enrolment = ledger.enrolment(options.choices)
    preparation = prepare(campaign, enrolment, secrets, audience.progress, checks, options.jobs, kept)
    if preparation.errors and not options.skip_bad_rows:
        hint = "nothing was sent; correct the list, or leave such rows out with --skip-bad-rows"
        raise UserError(*preparation.errors, Problem(hint))
    now = clock.moment()
    pace = LocalPace(campaign.windows)
    if options.mode is not Mode.REHEARSAL:
        load_pace(pace, scope_of(campaign), campaign.windows, starts, now)
    wait = pace.finish(now.steady, preparation.survey.addresses + preparation.plan.copies)
    differences = changes(campaign, ledger, preparation)
    unaccepted = tuple(change for change in differences if change[0] not in options.accept)
    new = options.mode is not Mode.REHEARSAL and ledger.is_empty
    findings = (*checks.report(), *warnings(campaign, ledger)) if checks is not None else ()
    return Plan(preparation, unaccepted, wait, now.utc, options.limit, new, findings)


def _agreed(plan: Plan, options: Options, audience: Audience) -> bool:
    """Return whether the person agrees. Raises NotAccepted for changes if nobody can be asked."""
    if options.asks:
        return audience.agrees(plan)
    if plan.changes:
        kinds = ",".join(change for change, _ in plan.changes)
        sentences = "; ".join(sentence for _, sentence in plan.changes)
        raise NotAccepted(f"{sentences}. If that is meant, add --accept {kinds}")
    return True


def _refuse_long_wait(campaign: CampaignFile, run: Run, addresses: int) -> None:
    pace = LocalPace(campaign.windows)
    now = clock.moment()
    load_pace(pace, scope_of(campaign), campaign.windows, run, now)
    seconds = pace.finish(now.steady, addresses) / SECOND
    if seconds > _TEST_MAX_WAIT:
        minutes = counted(round(seconds / 60), "minute")
        raise UserError(f"the rate {pace} is used up: this could be sent in {minutes}; nothing was")


@contextmanager
def _open_ledger(campaign: CampaignFile, mode: Mode) -> Iterator[Ledger]:
    """Open the ledger that a job of this mode works on."""
    match mode:
        case Mode.REHEARSAL:
            ledger = Ledger.temporary(campaign.name)
        case Mode.DRY_RUN if not Ledger.exists(campaign.ledger):
            ledger = Ledger.temporary(campaign.name)
        case Mode.DRY_RUN:
            ledger = Ledger.open(campaign.ledger, campaign.name, campaign.file, create=False, read_only=True)
        case _:
            ledger = Ledger.open(campaign.ledger, campaign.name, campaign.file)
    try:
        yield ledger
    finally:
        ledger.close()
