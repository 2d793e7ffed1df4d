"""The inquiries of `check`: asks the mail server, the DNS, SpamAssassin and workers.

    inspect_server(campaign) -> Negotiated: opens a session, looks at it, and closes it
    login_problems(campaign) -> a warning if the password is missing
    certificate_problems(campaign, negotiated) -> a warning for a certificate that ends soon
    inspect_domains(campaign, message) -> Published: what the DNS says about the sender's domains
    inspect_spam(campaign, chosen) -> Worst: what SpamAssassin says about some messages
    inspect_workers(campaign, …) -> the answers of workers: whether they have what the campaign needs

No password, token or secret command is run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from campaign.campaignfile.models import CampaignFile
from campaign.checks import spam
from campaign.checks.dns.domains import Published, look
from campaign.checks.dns.lookup import Lookup
from campaign.checks.dns.sender import sender_of
from campaign.clock import TellWait
from campaign.delivery import Message
from campaign.errors import ConnectFailed, Problem, Severity, UserError
from campaign.ledger import Ledger
from campaign.ledger.questions import Answer
from campaign.sending.account import logins_of
from campaign.sending.network.connection import Connection, LoginRefused, ProbeFailed
from campaign.sending.network.tls import TLSInfo
from campaign.sending.workers.equipment import PATIENCE, ask_workers
from campaign.smtp.auth import Login
from campaign.survey import Survey
from campaign.wording import counted

ENDS_SOON = 14
"""From this many days before a certificate's end, a warning is given."""

_DAY = 86_400  # seconds


@dataclass(frozen=True, slots=True)
class Negotiated:
    """A session that was opened.

    `tls` is None without TLS; `days_left`: full days until the certificate ends. `size`: the largest
    message that the server takes, in octets. `window`: how many messages can be unanswered;
    `why_no_window`: why that is 1 although the campaign file asks for more. `login`: a phrase about how
    the login went.
    """

    greeting: str
    tls: TLSInfo | None
    days_left: int | None
    extensions: tuple[str, ...]
    auth: tuple[str, ...]
    size: int | None
    pipelining: bool
    window: int
    why_no_window: str
    login: str


@dataclass(frozen=True, slots=True)
class Worst:
    """The message with the most points from SpamAssassin, of the `judged` ones."""

    row: int
    judged: int
    judgement: spam.Judgement


def inspect_server(campaign: CampaignFile, on_silence: TellWait, now: float) -> Negotiated:
    """Open a session, describe it, and close it; `now` is in UNIX seconds.

    Raises ConnectFailed, and UserError for a secret that cannot be read.
    """
    login, login_words = _login(campaign)
    probe_failure = ""
    try:
        window = campaign.smtp.window
        connection = Connection.open(campaign.smtp, login, on_silence=on_silence, window=window)
    except ProbeFailed as error:
        probe_failure = str(error)
        connection = Connection.open(campaign.smtp, login, on_silence=on_silence)
    session, tls = connection.session, connection.transport.tls
    extensions = session.extensions
    negotiated = Negotiated(
        greeting=session.greeting.text if session.greeting is not None else "",
        tls=tls,
        days_left=int((tls.not_after - now) // _DAY) if tls is not None else None,
        extensions=extensions.keywords,
        auth=tuple(sorted(extensions.auth)),
        size=extensions.size,
        pipelining=extensions.pipelining,
        window=max(session.room, 1),
        why_no_window=probe_failure or session.why_no_window,
        login=login_words,
    )
    connection.quit()
    return negotiated


def connection_problem(campaign: CampaignFile, failed: ConnectFailed) -> Problem:
    """Return why no session could be opened, at the key to look at (`smtp.host` by default)."""
    secret = campaign.smtp.secret
    path = failed.path or "smtp.host"
    if isinstance(failed, LoginRefused) and secret is not None:
        path = secret.key
    return campaign.problem(path, str(failed), rule="server")


def login_problems(campaign: CampaignFile) -> Iterator[Problem]:
    """Yield a warning if no login was tried because the password is missing."""
    secret = campaign.smtp.secret
    if _password_is_missing(campaign) and secret is not None:
        what = (
            f"the environment variable {secret.env} is not set or empty, so no login was tried; `send` and"
            " `test` need it"
        )
        yield campaign.problem(secret.key, what, Severity.WARNING, "server")


def certificate_problems(campaign: CampaignFile, negotiated: Negotiated) -> Iterator[Problem]:
    """Yield a warning if the server's certificate ends soon."""
    days = negotiated.days_left
    if days is not None and days < ENDS_SOON:
        left = "in less than a day" if days < 1 else f"in {counted(days, 'day')}"
        what = f"the certificate of {campaign.smtp.host} ends {left}; from then on nothing can be sent"
        yield campaign.problem("smtp.host", what, Severity.WARNING, "certificate")


def message_problems(campaign: CampaignFile, negotiated: Negotiated, survey: Survey) -> Iterator[Problem]:
    """Yield an error for each kind of the campaign's messages that the server says it does not take."""
    if negotiated.size is not None and survey.largest > negotiated.size:
        what = f"the largest message has {survey.largest:,} octets, and the server takes at most"
        yield campaign.problem("smtp.host", f"{what} {negotiated.size:,}", rule="server")
    if survey.smtputf8 and "SMTPUTF8" not in negotiated.extensions:
        what = (
            f"{counted(survey.smtputf8, 'message needs', 'messages need')} SMTPUTF8, for letters before the"
        )
        yield campaign.problem(
            "smtp.host", f"{what} @ that are not ASCII; the server lacks it", rule="server"
        )


def inspect_domains(
    campaign: CampaignFile, message: Message, nameserver: str | None
) -> tuple[list[Problem], Published]:
    """Look up the domains of a message's sender; `nameserver` as in Lookup. Raises UserError."""
    published = look(sender_of(campaign, message), Lookup(nameserver))
    findings = published.findings
    return [campaign.problem(one.path, one.message, one.severity, "dns") for one in findings], published


def inspect_spam(campaign: CampaignFile, chosen: Sequence[Message]) -> tuple[list[Problem], Worst | None]:
    """Let SpamAssassin judge messages. Raises UserError if it fails."""
    program = spam.program()
    if program is None:
        what = (
            "SpamAssassin is not installed, so nothing was judged; install it with `apt install spamassassin`"
            " on Debian and Ubuntu, or `brew install spamassassin` on macOS"
        )
        return [campaign.problem("templates", what, Severity.NOTE, "spam")], None
    if not chosen:
        return [], None
    judgements = spam.judge([message.content for message in chosen], program)
    judged = zip(chosen, judgements, strict=True)
    message, judgement = max(judged, key=lambda one: one[1].points)
    worst = Worst(message.number, len(chosen), judgement)
    if not judgement.is_spam:
        return [], worst
    what = (
        f"SpamAssassin calls row {worst.row} spam: {judgement.points:g} points, {judgement.required:g} are"
        f" enough; most for {judgement.hits[0].rule}"
    )
    return [campaign.problem("templates", what, Severity.WARNING, "spam")], worst


def inspect_workers(
    campaign: CampaignFile, waiting: TellWait, call: Callable[[], None]
) -> tuple[list[Problem], list[Answer]]:
    """Ask the workers of a campaign's ledger whether they have what it needs; see `ask_workers`.

    The question is stored in the ledger, and its tables are created if necessary. Raises UserError if the
    ledger's server cannot be reached.
    """
    if campaign.workers is None:
        what = "it has no `workers:`: `campaign send` sends it by itself, and there is nobody to ask"
        raise UserError(campaign.problem("workers", what, rule="workers"))
    ledger = Ledger.open(campaign.ledger, campaign.name)
    try:
        answers = ask_workers(ledger, campaign, waiting, call)
    finally:
        ledger.close()
    if not answers:
        what = f"no worker has answered within {PATIENCE:.0f} s: `campaign work` does while it runs"
        return [campaign.problem("workers", what, Severity.WARNING, "workers")], answers
    return [
        campaign.problem("workers", f"{answer.host} {answer.pid}: {what}", severity, "workers")
        for answer in answers
        for severity, sentences in ((Severity.ERROR, answer.missing), (Severity.WARNING, answer.differs))
        for what in sentences
    ], answers


def _password_is_missing(campaign: CampaignFile) -> bool:
    """Whether the password's environment variable is unset or empty."""
    smtp = campaign.smtp
    env = smtp.secret.env if smtp.username is not None and smtp.secret is not None else None
    return env is not None and not os.environ.get(env)


def _login(campaign: CampaignFile) -> tuple[Login | None, str]:
    """Return the login to try, and a phrase about it for `Negotiated.login`."""
    smtp = campaign.smtp
    if smtp.username is None or smtp.secret is None:
        return None, "none is configured"
    if smtp.secret.command is not None:
        return None, "not tried: check runs no command; `campaign test` does"
    if _password_is_missing(campaign):
        return None, f"not tried: the environment variable {smtp.secret.env} is not set"
    return logins_of(campaign).current(), f"worked, as {smtp.username}"
