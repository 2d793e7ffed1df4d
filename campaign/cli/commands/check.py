"""`campaign check`: everything that can be known before sending."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from campaign.cli.codes import DISCONNECTED, OK, USAGE
from campaign.cli.options import JOBS
from campaign.cli.output import Output, echo_json, say
from campaign.errors import ConnectFailed, Problem, Severity, UserError
from campaign.wording import counted

if TYPE_CHECKING:
    from campaign.campaignfile.models import CampaignFile
    from campaign.checks.dns.domains import Published
    from campaign.ledger.questions import Answer
    from campaign.preparation import Survey
    from campaign.sending.preflight.inquiries import Negotiated, Worst


@click.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--server", is_flag=True, help="Also open a session, and show what was negotiated.")
@click.option("--dns", is_flag=True, help="Look up the MX, SPF, DKIM and DMARC records of your domains.")
@click.option("--nameserver", metavar="ADDRESS[:PORT]", help="The DNS server to use instead of the system's.")
@click.option("--workers", is_flag=True, help="Ask each worker whether it has the account, keys and secrets.")
@click.option("--spam", is_flag=True, help="Let SpamAssassin score messages, if it is installed.")
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@click.option("--json", "as_json", is_flag=True, help="Write the problems as a JSON list.")
@JOBS
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
def command(
    file: Path,
    server: bool,
    workers: bool,
    dns: bool,
    nameserver: str | None,
    spam: bool,
    strict: bool,
    as_json: bool,
    jobs: int | None,
    quiet: bool,
) -> int:
    """Read FILE, its list and its templates, render every row, and report all that is wrong or odd.

    --server adds the server's problems, such as a certificate that ends within 14 days. The session is
    opened only if there are no errors.

    --dns adds what is wrong with the DNS records of the sender's domains, and what to publish; a lookup
    without an answer is a note. --spam adds SpamAssassin's judgement of up to ten messages.

    A note is what may well be meant. `check: {ignore: [rule]}` in FILE silences a rule; `campaign guide
    checks` tells what each looks for.

    --workers asks the workers that run, whether `campaign work` or Celery has started them, and waits 15 s.
    Each names what it lacks; secrets are looked for, and not read.

    --json writes a list of problems; `rows` counts the rows that have one. What --server, --dns,
    --spam and --workers have found stands behind them: entries whose severity is "info", with an object
    under "server", "dns", "spam" or "workers", which is also their rule.

    Exit code 0 with warnings, 2 with errors or, under --strict, with warnings, 6 if no session could be
    opened. No password, token or secret command is run.
    """
    from campaign.message import drafting

    drafting.begin()
    from campaign.sending.preflight.inspection import inspect

    output = Output(quiet=quiet or as_json)
    inspection = inspect(file, output.progress, jobs, choose=spam)
    output.end_bar()
    problems, campaign, survey = list(inspection.problems), inspection.campaign, inspection.survey
    negotiated: Negotiated | None = None
    published: Published | None = None
    worst: Worst | None = None
    answers: list[Answer] | None = None
    connected = True
    ready = campaign is not None and not inspection.errors
    if dns and campaign is not None and survey is not None and survey.first is not None:
        from campaign.sending.preflight.inquiries import inspect_domains

        try:
            found, published = inspect_domains(campaign, survey.first, nameserver)
            problems += found
        except UserError as error:
            problems += error.problems
    if spam and campaign is not None and ready:
        from campaign.sending.preflight.inquiries import inspect_spam

        try:
            found, worst = inspect_spam(campaign, inspection.chosen)
            problems += found
        except UserError as error:
            problems += error.problems
    if server and campaign is not None and ready:
        from campaign.sending.preflight.inquiries import (
            certificate_problems,
            connection_problem,
            inspect_server,
            login_problems,
        )

        try:
            negotiated = inspect_server(campaign, output.waiting, time.time())
            problems += [*login_problems(campaign), *certificate_problems(campaign, negotiated)]
        except ConnectFailed as error:
            connected = False
            problems.append(connection_problem(campaign, error))
        except UserError as error:
            problems += error.problems
    if workers and campaign is not None and ready:
        from campaign.cli.watching import calling
        from campaign.sending.preflight.inquiries import inspect_workers

        try:
            found, answers = inspect_workers(campaign, output.waiting, calling(campaign, output))
            problems += found
        except UserError as error:
            problems += error.problems
    errors, warnings, notes = (sum(p.severity is severity for p in problems) for severity in Severity)
    if as_json:
        echo_json(_json(problems, campaign, negotiated, published, worst, answers))
    else:
        for problem in problems:
            wanted = strict and problem.severity is Severity.WARNING
            if wanted or not quiet or problem.severity is Severity.ERROR:
                say(problem)
        output.lines(_surveyed(inspection.survey))
        output.lines(_published(published))
        output.lines(_judged(worst))
        output.lines(_negotiated(campaign, negotiated))
        output.lines(_answered(answers))
        output.lines([_summary(file, errors, warnings, notes)])
    if not connected:
        return DISCONNECTED
    return USAGE if errors or (strict and warnings) else OK


def _summary(file: Path, errors: int, warnings: int, notes: int) -> str:
    counts = ((errors, "error"), (warnings, "warning"), (notes, "note"))
    found = [counted(count, what) for count, what in counts if count]
    return f"{file}: {', '.join(found) or 'nothing is wrong'}"


def _surveyed(survey: Survey | None) -> Iterator[str]:
    if survey is None:
        return
    to = counted(survey.addresses, "address", "addresses")
    yield f"{counted(survey.rows, 'row')}, {counted(survey.messages, 'message')} to {to}"
    if survey.smtputf8:
        need = counted(survey.smtputf8, "of them needs", "of them need")
        yield f"  {need} a server with SMTPUTF8"
    if survey.first is not None:
        yield f"  the largest has {survey.largest:,} octets"


def _published(published: Published | None) -> Iterator[str]:
    if published is None or not published.records:
        return
    yield "DNS"
    for what, record in published.records:
        yield f"  {what}: {record}"


def _judged(worst: Worst | None) -> Iterator[str]:
    if worst is None:
        return
    judgement = worst.judgement
    points = f"{judgement.points + 0:.1f} points, spam from {judgement.required:g} on"
    yield f"SpamAssassin: {counted(worst.judged, 'message')} judged; the worst is row {worst.row} ({points})"
    for hit in judgement.hits:
        yield f"  {hit.points:5.1f}  {hit.rule}: {hit.description}"


def _negotiated(campaign: CampaignFile | None, negotiated: Negotiated | None) -> Iterator[str]:
    if campaign is None or negotiated is None:
        return
    yield f"{campaign.smtp.host}:{campaign.smtp.port} ({campaign.smtp.security})"
    yield f"  greeting:   {negotiated.greeting}"
    tls = negotiated.tls
    if tls is None:
        yield "  TLS:        none: everything is sent in the clear"
    else:
        yield f"  TLS:        {tls.version}, {tls.cipher}"
        left = counted(negotiated.days_left or 0, "day")
        yield f"  certificate: {', '.join(tls.names)}, from {tls.issuer}, {left} left"
    yield f"  extensions: {', '.join(negotiated.extensions) or 'none'}"
    yield f"  AUTH:       {', '.join(negotiated.auth) or 'none'}"
    yield f"  SIZE:       {f'{negotiated.size:,} octets' if negotiated.size else 'no limit is named'}"
    trips = "one round trip" if negotiated.pipelining else "four round trips, as it is not offered"
    yield f"  pipelining: {trips} a message"
    if negotiated.why_no_window:
        yield f"  window:     not used: {negotiated.why_no_window}"
    elif negotiated.window > 1:
        yield f"  window:     {negotiated.window} messages can be unanswered"
    yield f"  login:      {negotiated.login}"


def _answered(answers: list[Answer] | None) -> Iterator[str]:
    if answers:
        lack = sum(bool(answer.missing) for answer in answers)
        has = f"{counted(lack, 'of them lacks', 'of them lack')} something" if lack else "nothing is missing"
        yield f"{counted(len(answers), 'worker')}: {has}"
    for answer in answers or ():
        if not answer.missing:
            yield f"  {answer.host} {answer.pid} has what it needs"


def _json(
    problems: Sequence[Problem],
    campaign: CampaignFile | None,
    negotiated: Negotiated | None,
    published: Published | None,
    worst: Worst | None,
    answers: list[Answer] | None,
) -> list[dict[str, object]]:
    """Return the problems, each with the same keys, and behind them what was looked up and negotiated."""
    from dataclasses import asdict

    entries = [asdict(problem) for problem in problems]
    if campaign is not None and published is not None:
        place = campaign.problem("from", "the sender's domains were looked up", rule="dns")
        records = [{"what": what, "record": record} for what, record in published.records]
        entries.append({**asdict(place), "severity": "info", "dns": records})
    if campaign is not None and worst is not None:
        place = campaign.problem("templates", "SpamAssassin judged messages", rule="spam")
        entries.append({**asdict(place), "severity": "info", "spam": asdict(worst)})
    if campaign is not None and negotiated is not None:
        smtp, tls = campaign.smtp, negotiated.tls
        place = campaign.problem("smtp", f"a session with {smtp.host}:{smtp.port} was opened", rule="server")
        found: dict[str, object] = {
            "host": smtp.host,
            "port": smtp.port,
            "security": smtp.security,
            "greeting": negotiated.greeting,
            "tls": {"version": tls.version, "cipher": tls.cipher} if tls is not None else None,
            "certificate": _certificate(negotiated),
            "extensions": negotiated.extensions,
            "auth": negotiated.auth,
            "size": negotiated.size,
            "pipelining": negotiated.pipelining,
            "window": negotiated.window,
            "login": negotiated.login,
        }
        entries.append({**asdict(place), "severity": "info", "server": found})
    if campaign is not None and answers is not None:
        place = campaign.problem("workers", "workers were asked what they have", rule="workers")
        entries.append({**asdict(place), "severity": "info", "workers": list(map(asdict, answers))})
    for entry in entries:
        del entry["same"]  # ours, for counting
    return entries


def _certificate(negotiated: Negotiated) -> dict[str, object] | None:
    from campaign.report.machine import iso

    tls = negotiated.tls
    if tls is None:
        return None
    ends = iso(int(tls.not_after * 1e9))
    return {"names": tls.names, "issuer": tls.issuer, "ends": ends, "days_left": negotiated.days_left}
