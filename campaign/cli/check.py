"""`campaign check`: everything that can be known before sending."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from campaign.cli.output import Output, say
from campaign.errors import Problem, Severity, UserError
from campaign.wording import counted

if TYPE_CHECKING:
    from campaign.campaignfile.models import CampaignFile
    from campaign.sending.connection import Connection
    from campaign.smtp import Login


@click.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--server", is_flag=True, help="Open the session too, and show what was negotiated.")
@click.option("--strict", is_flag=True, help="Take warnings for errors.")
@click.option("--json", "as_json", is_flag=True, help="Write the problems as a JSON list.")
@click.option("--quiet", "-q", is_flag=True, help="Say errors only.")
def command(file: Path, server: bool, strict: bool, as_json: bool, quiet: bool) -> int:
    """Read FILE, its list and its templates, render every row, and say all that is wrong or odd.

    Exit code 0 with warnings, 2 with errors. No password, token or secret command is run.
    """
    output = Output(quiet=quiet or as_json)
    problems, lines = _check(file, output)
    errors = sum(problem.severity is Severity.ERROR for problem in problems)
    output.end_bar()
    if as_json:
        click.echo(_json(problems))
    else:
        for problem in problems:
            if strict or not quiet or problem.severity is Severity.ERROR:
                say(problem)
        output.lines(lines)
        found = [(errors, "error"), (len(problems) - errors, "warning")]
        words = ", ".join(f"{count:,} {what}{'s' * (count > 1)}" for count, what in found if count)
        output.lines([f"{file}: {words or 'nothing is wrong'}"])
    if server and not errors:
        output.lines(_server(file, output))
    return 2 if errors or (strict and problems) else 0


def _check(file: Path, output: Output) -> tuple[list[Problem], list[str]]:
    from campaign.campaignfile.load import load
    from campaign.checks import rules
    from campaign.ledger import Ledger
    from campaign.message.tokens import Secrets
    from campaign.preparation import prepare
    from campaign.sending.job import too_narrow

    try:
        campaign = load(file)
        ledger = Ledger.temporary(campaign.name)
        try:
            preparation = prepare(campaign, ledger.enrolment(), Secrets.placeholder(), output.progress)
            problems = [
                *too_narrow(campaign),
                *preparation.errors,
                *rules.warnings(preparation),
            ]
            survey = preparation.survey
        finally:
            ledger.close()
    except UserError as error:
        return list(error.problems), []
    to = counted(survey.addresses, "address", "addresses")
    lines = [f"{counted(survey.rows, 'row')}, {counted(survey.messages, 'message')} to {to}"]
    if survey.smtputf8:
        lines.append(f"  {survey.smtputf8:,} of them need a server with SMTPUTF8")
    if survey.first is not None:
        lines.append(f"  the largest has {survey.largest:,} octets")
    return problems, lines


def _server(file: Path, output: Output) -> list[str]:
    """Open a session and say what it is like. Raises ConnectFailed with what is wrong."""
    from campaign.campaignfile.load import load
    from campaign.sending.connection import Connection

    campaign = load(file)
    login, said = _login(campaign)
    smtp = campaign.smtp
    lines = [f"{smtp.host}:{smtp.port} ({smtp.security})"]
    connection = Connection.open(smtp, login, on_silence=output.waiting)
    lines += _negotiated(connection)
    connection.quit()
    return [*lines, f"  login:      {said}"]


def _login(campaign: CampaignFile) -> tuple[Login | None, str]:
    from campaign.sending.account import login_of

    smtp = campaign.smtp
    if smtp.username is None or smtp.secret is None:
        return None, "none is configured"
    if smtp.secret.command is not None:
        return None, "not tried: check runs no command; `campaign test` does"
    if smtp.secret.env is not None and not _is_set(smtp.secret.env):
        return None, f"not tried: the environment variable {smtp.secret.env} is not set"
    return login_of(campaign)(), f"worked, as {smtp.username}"


def _is_set(variable: str) -> bool:
    import os

    return variable in os.environ


def _negotiated(connection: Connection) -> Iterator[str]:
    session, tls = connection.session, connection.transport.tls
    yield f"  greeting:   {session.greeting.text if session.greeting is not None else ''}"
    if tls is None:
        yield "  TLS:        none: everything is sent in the clear"
    else:
        days = int((tls.not_after - time.time()) / 86400)
        yield f"  TLS:        {tls.version}, {tls.cipher}"
        yield f"  certificate: {', '.join(tls.names)}, from {tls.issuer}, {counted(days, 'day')} left"
        if days < 14:
            yield "  warning:    the certificate ends soon"
    extensions = session.extensions
    yield f"  extensions: {', '.join(extensions.keywords) or 'none'}"
    yield f"  AUTH:       {', '.join(sorted(extensions.auth)) or 'none'}"
    yield f"  SIZE:       {f'{extensions.size:,} octets' if extensions.size else 'no limit is named'}"
    trips = "one round trip" if extensions.pipelining else "four round trips, as it is not offered"
    yield f"  pipelining: {trips} a message"


def _json(problems: list[Problem]) -> str:
    import json
    from dataclasses import asdict

    return json.dumps([asdict(problem) for problem in problems], ensure_ascii=False, indent=2)
