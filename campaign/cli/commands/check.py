"""`campaign check`: report everything that can be known before sending."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
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
    from campaign.delivery import Message
    from campaign.ledger.questions import Answer
    from campaign.sending.preflight.inquiries import Negotiated, Worst
    from campaign.survey import Survey


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
    """Read FILE, its list and its templates, render every row, and report everything that looks wrong.

    --server adds the server's problems, such as a certificate that expires within 14 days. The session is
    opened only if there are no errors.

    --dns adds the problems of the DNS records of the sender's domains, and what to publish; a lookup
    without an answer is a note. --spam adds SpamAssassin's scores of up to ten messages.

    A note is often intended. `check: {ignore: [rule]}` in FILE silences a rule; `campaign guide checks`
    explains the rules.

    --workers asks all running workers, started by `campaign work` or Celery, and waits 15 s. Each names what
    it lacks; whether a secret exists is checked, but it is not read.

    --json writes a list of problems; `rows` counts the rows that have one. It ends with the results of
    --server, --dns, --spam and --workers: entries with severity "info" and an object under "server", "dns",
    "spam" or "workers", which is also their rule.

    The exit code is 0 with warnings, 2 with errors or, under --strict, with warnings, and 6 if no session
    could be opened. No password, token or secret command is run.
    """
    from campaign.message import drafting

    drafting.begin()
    from campaign.sending.preflight.inspection import inspect

    output = Output(quiet=quiet or as_json, must_write=True)
    inspection = inspect(file, output.progress, jobs, choose=spam)
    output.end_bar()
    findings = _Findings(list(inspection.problems))
    campaign, survey = inspection.campaign, inspection.survey
    if dns and campaign is not None and survey is not None and survey.first is not None:
        _look_up(findings, campaign, survey.first, nameserver)
    if campaign is not None and not inspection.errors:
        if spam:
            _score(findings, campaign, inspection.chosen)
        if server:
            _open_session(findings, campaign, survey, output)
        if workers:
            _ask_workers(findings, campaign, output)
    if as_json:
        echo_json(_json(findings, campaign))
    else:
        for problem in findings.problems:
            is_error = problem.severity is Severity.ERROR or (strict and problem.severity is Severity.WARNING)
            if is_error or not quiet:
                say(problem)
        output.lines(_survey_lines(survey))
        output.lines(_dns_lines(findings.published))
        output.lines(_spam_lines(findings.worst))
        output.lines(_server_lines(campaign, findings.negotiated))
        output.lines(_worker_lines(findings.answers))
        output.lines([_summary(file, findings)])
    if not findings.has_connected:
        return DISCONNECTED
    is_wrong = findings.count(Severity.ERROR) or (strict and findings.count(Severity.WARNING))
    return USAGE if is_wrong else OK


@dataclass(slots=True)
class _Findings:
    """The problems, and the results of the inquiries that were asked for; None for the others."""

    problems: list[Problem]
    published: Published | None = None
    worst: Worst | None = None
    negotiated: Negotiated | None = None
    answers: list[Answer] | None = None
    has_connected: bool = True

    def count(self, severity: Severity) -> int:
        """Return how many problems are of this severity."""
        return sum(problem.severity is severity for problem in self.problems)


def _look_up(findings: _Findings, campaign: CampaignFile, first: Message, nameserver: str | None) -> None:
    """Look up the DNS records of the domains in the first message."""
    from campaign.sending.preflight.inquiries import inspect_domains

    try:
        problems, findings.published = inspect_domains(campaign, first, nameserver)
        findings.problems += problems
    except UserError as error:
        findings.problems += error.problems


def _score(findings: _Findings, campaign: CampaignFile, messages: Sequence[Message]) -> None:
    """Let SpamAssassin score these messages."""
    from campaign.sending.preflight.inquiries import inspect_spam

    try:
        problems, findings.worst = inspect_spam(campaign, messages)
        findings.problems += problems
    except UserError as error:
        findings.problems += error.problems


def _open_session(findings: _Findings, campaign: CampaignFile, survey: Survey | None, output: Output) -> None:
    """Open a session with the server, without sending anything."""
    from campaign.sending.preflight.inquiries import (
        certificate_problems,
        connection_problem,
        inspect_server,
        login_problems,
        message_problems,
    )

    try:
        findings.negotiated = inspect_server(campaign, output.waiting, time.time())
        findings.problems += login_problems(campaign)
        findings.problems += certificate_problems(campaign, findings.negotiated)
        if survey is not None:
            findings.problems += message_problems(campaign, findings.negotiated, survey)
    except ConnectFailed as error:
        findings.has_connected = False
        findings.problems.append(connection_problem(campaign, error))
    except UserError as error:
        findings.problems += error.problems


def _ask_workers(findings: _Findings, campaign: CampaignFile, output: Output) -> None:
    """Ask the workers that are running what they lack."""
    from campaign.cli.watching import calling
    from campaign.sending.preflight.inquiries import inspect_workers

    try:
        problems, findings.answers = inspect_workers(campaign, output.waiting, calling(campaign, output))
        findings.problems += problems
    except UserError as error:
        findings.problems += error.problems


def _summary(file: Path, findings: _Findings) -> str:
    counts = {severity: findings.count(severity) for severity in Severity}
    words = [counted(count, severity.value) for severity, count in counts.items() if count]
    return f"{file}: {', '.join(words) or 'nothing is wrong'}"


def _survey_lines(survey: Survey | None) -> Iterator[str]:
    if survey is None:
        return
    to = counted(survey.addresses, "address", "addresses")
    yield f"{counted(survey.rows, 'row')}, {counted(survey.messages, 'message')} to {to}"
    if survey.smtputf8:
        need = counted(survey.smtputf8, "of them needs", "of them need")
        yield f"  {need} a server with SMTPUTF8"
    if survey.first is not None:
        yield f"  the largest has {survey.largest:,} octets"


def _dns_lines(published: Published | None) -> Iterator[str]:
    if published is None or not published.records:
        return
    yield "DNS"
    for what, record in published.records:
        yield f"  {what}: {record}"


def _spam_lines(worst: Worst | None) -> Iterator[str]:
    if worst is None:
        return
    judgement = worst.judgement
    points = f"{judgement.points + 0:.1f} points, spam from {judgement.required:g} on"
    yield f"SpamAssassin: {counted(worst.judged, 'message')} judged; the worst is row {worst.row} ({points})"
    for hit in judgement.hits:
        yield f"  {hit.points:5.1f}  {hit.rule}: {hit.description}"


def _server_lines(campaign: CampaignFile | None, negotiated: Negotiated | None) -> Iterator[str]:
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
    trips = "one round trip" if negotiated.pipelining else "not offered, so four round trips"
    yield f"  pipelining: {trips} for each message"
    if negotiated.why_no_window:
        yield f"  window:     not used: {negotiated.why_no_window}"
    elif negotiated.window > 1:
        yield f"  window:     {negotiated.window} messages can be unanswered"
    yield f"  login:      {negotiated.login}"


def _worker_lines(answers: list[Answer] | None) -> Iterator[str]:
    if answers:
        lack = sum(bool(answer.missing) for answer in answers)
        has = f"{counted(lack, 'of them lacks', 'of them lack')} something" if lack else "nothing is missing"
        yield f"{counted(len(answers), 'worker')}: {has}"
    for answer in answers or ():
        if not answer.missing:
            yield f"  {answer.host} {answer.pid} has what it needs"


def _json(findings: _Findings, campaign: CampaignFile | None) -> list[dict[str, object]]:
    """Return the problems, each with the same keys, and after them the results of the inquiries."""
    entries = [asdict(problem) for problem in findings.problems]
    if campaign is None:
        return _without_same(entries)
    if (published := findings.published) is not None:
        place = campaign.problem("from", "the sender's domains were looked up", rule="dns")
        records = [{"what": what, "record": record} for what, record in published.records]
        entries.append({**asdict(place), "severity": "info", "dns": records})
    if (worst := findings.worst) is not None:
        place = campaign.problem("templates", "SpamAssassin judged messages", rule="spam")
        entries.append({**asdict(place), "severity": "info", "spam": asdict(worst)})
    if (negotiated := findings.negotiated) is not None:
        smtp, tls = campaign.smtp, negotiated.tls
        place = campaign.problem("smtp", f"a session with {smtp.host}:{smtp.port} was opened", rule="server")
        session: dict[str, object] = {
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
        entries.append({**asdict(place), "severity": "info", "server": session})
    if (answers := findings.answers) is not None:
        place = campaign.problem("workers", "workers were asked what they have", rule="workers")
        entries.append({**asdict(place), "severity": "info", "workers": list(map(asdict, answers))})
    return _without_same(entries)


def _without_same(entries: list[dict[str, object]]) -> list[dict[str, object]]:
    for entry in entries:
        del entry["same"]  # only for comparing problems
    return entries


def _certificate(negotiated: Negotiated) -> dict[str, object] | None:
    from campaign.report.machine import iso

    tls = negotiated.tls
    if tls is None:
        return None
    ends = iso(int(tls.not_after * 1e9))
    return {"names": tls.names, "issuer": tls.issuer, "ends": ends, "days_left": negotiated.days_left}
