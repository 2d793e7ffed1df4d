"""Asks workers, before a campaign is sent, whether they have what it needs: `check --workers`.

    ask_workers(ledger, campaign) -> Answers      asks, and waits for the answers
    answer_questions(ledger, accounts)            on a worker: `campaign work`, a drain, Celery's worker

The question names the account, and if the campaign has them, the DKIM key and the unsubscribe secret. The
answer names what is missing, and how the account's server differs from the campaign file's. The worker
checks that secrets exist, but does not read them, and runs no command. It uses the question only to look
names up in its own file of accounts.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import yaml

from campaign.campaignfile.load import load
from campaign.campaignfile.models import CampaignFile, Smtp
from campaign.campaignfile.octets import read_file
from campaign.errors import UserError
from campaign.ledger import Ledger, Scope
from campaign.ledger.questions import Answer, Questions
from campaign.sending.account import scope_of
from campaign.sending.workers.accounts import Account, Accounts
from campaign.sending.workers.bundle import account_of
from campaign.sending.workers.folder import private_folder, unwritable

PATIENCE = 15.0
"""Seconds to wait for answers: long enough for workers that systemd starts every ten seconds."""

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END", re.DOTALL)
_MOST_CERTIFICATES = 1 << 24  # octets of a ca_file


@dataclass(frozen=True, slots=True)
class Needs:
    """What a campaign needs on a worker: only names, never the value of a secret."""

    account: str
    host: str
    username: str
    domain: str  # of its DKIM key, "" for none
    selector: str
    tokens: bool  # whether unsubscribe tokens need a secret
    port: int = 0  # 0 in a question of an earlier release
    security: str = ""
    authorities: str = ""  # a hash of the certificates in its ca_file, "" for the system's

    @classmethod
    def of(cls, campaign: CampaignFile) -> Needs:
        """Return what a campaign needs."""
        scope, dkim, unsubscribe = scope_of(campaign), campaign.dkim, campaign.unsubscribe
        return cls(
            account_of(campaign),
            scope.host,
            scope.username,
            dkim.domain if dkim is not None else "",
            dkim.selector if dkim is not None else "",
            unsubscribe is not None and unsubscribe.secret is not None,
            campaign.smtp.port,
            campaign.smtp.security,
            _authorities(campaign.smtp),
        )

    @classmethod
    def read(cls, text: str) -> Needs | None:
        """Parse another process's question; None if it is not understood."""
        try:
            needs = cls(**json.loads(text))
        except (ValueError, TypeError):
            return None
        texts = (needs.account, needs.host, needs.username, needs.domain, needs.selector)
        server = (needs.security, needs.authorities)
        return needs if all(isinstance(one, str) for one in (*texts, *server)) else None


def ask_workers(
    ledger: Ledger, campaign: CampaignFile, waiting: Callable[[float, str], None], call: Callable[[], None]
) -> list[Answer]:
    """Ask the workers of a ledger what they lack for a campaign, and wait for their answers.

    `waiting` is called with the seconds. `call` is called after the question is stored: it wakes workers
    that wait for a broker.
    """
    questions = questions_of(ledger)
    question = questions.ask(json.dumps(asdict(Needs.of(campaign)), ensure_ascii=False))
    try:
        call()
        waiting(PATIENCE, "workers are asked what they have")
        time.sleep(PATIENCE)
        return questions.answers(question)
    finally:
        questions.withdraw(question)


def questions_of(ledger: Ledger) -> Questions:
    """Return the questions to workers. Raises UserError if the ledger is a file."""
    questions = ledger.questions
    if questions is None:
        raise UserError(ledger.problem("workers share a ledger in PostgreSQL, and this one is a file"))
    return questions


def answer_questions(ledger: Ledger, accounts: Accounts) -> None:
    """Answer the questions that this process has not answered yet."""
    questions = questions_of(ledger)
    for question, text in questions.unanswered():
        needs = Needs.read(text)
        if needs is not None:
            questions.answer(question, list(missing(needs, accounts)), list(differing(needs, accounts)))


def missing(needs: Needs, accounts: Accounts) -> Iterator[str]:
    """Yield a sentence for each thing that a worker with these accounts lacks."""
    account = accounts.by_name.get(needs.account)
    if account is None:
        yield f"there is no account {needs.account!r}"
        return
    if needs.domain and (account.dkim.get("domain"), account.dkim.get("selector")) != (
        needs.domain,
        needs.selector,
    ):
        yield f"the account {account.name!r} has no DKIM key {needs.selector} of {needs.domain}"
    if needs.tokens and not account.unsubscribe:
        yield f"the account {account.name!r} has no unsubscribe secret"
    try:
        campaign = _loaded(account, needs)
    except UserError as error:
        yield from (": ".join(filter(None, (problem.path, problem.message))) for problem in error.problems)
        return
    scope = scope_of(campaign)
    if (scope.host, scope.username) != (needs.host, needs.username):
        yield f"the account {account.name!r} is {scope.username}@{scope.host} here"
    unsubscribe = campaign.unsubscribe.secret if campaign.unsubscribe is not None else None
    for source in (campaign.smtp.secret, unsubscribe if needs.tokens else None):
        if source is not None and (absent := source.absent()):
            yield absent
    if campaign.dkim is not None and needs.domain:
        from campaign.message.dkim import load_signer

        dkim = campaign.dkim
        try:
            load_signer(dkim.domain, dkim.selector, dkim.key_file, dkim.algorithm)
        except UserError as error:
            yield from (problem.message for problem in error.problems)
    if account.attachments_root is not None and not account.attachments_root.is_dir():
        yield f"the folder {account.attachments_root} for its attachments does not exist"


def differing(needs: Needs, accounts: Accounts) -> Iterator[str]:
    """Yield a sentence for each difference from the campaign file; it may be intended."""
    account = accounts.by_name.get(needs.account)
    try:
        smtp = _loaded(account, needs).smtp if account is not None and needs.port else None
    except UserError:
        return
    if smtp is None:
        return
    here = f"the account {needs.account!r}"
    if (smtp.port, smtp.security) != (needs.port, needs.security):
        theirs = f"{needs.port} ({needs.security})"
        yield f"{here} has port {smtp.port} ({smtp.security}) here, and the campaign file {theirs}"
    ours, system = _authorities(smtp), "the system's authorities"
    if ours and needs.authorities and ours != needs.authorities:
        yield f"{here} trusts another ca_file here than the campaign file"
    elif ours != needs.authorities:
        trusted, theirs = ("its ca_file", system) if ours else (system, "its ca_file")
        yield f"{here} trusts {trusted} here, and the campaign file {theirs}"


def _authorities(smtp: Smtp) -> str:
    """Return a hash of the certificates in its ca_file, "" if the system's are trusted."""
    if smtp.ca_file is None:
        return ""
    try:
        found = _CERTIFICATE.findall(read_file(smtp.ca_file, _MOST_CERTIFICATES))
    except OSError as error:
        return str(error.strerror)
    return hashlib.sha256(b"\n".join(sorted(b"".join(one.split()) for one in found))).hexdigest()


def _loaded(account: Account, needs: Needs) -> CampaignFile:
    """Return a minimal campaign with an account's values, to check them. Raises UserError."""
    values: dict[str, Any] = {
        "name": "account",
        "recipients": "list.csv",
        "from": "account@example.com",
        "subject": "-",
        "templates": {"text": "body.j2"},
        "smtp": account.smtp_of(Scope(needs.host, needs.username)),
    }
    if account.dkim:
        values["dkim"] = account.dkim
    if account.unsubscribe:
        token = "https://example.com/{{ unsubscribe.token }}"  # noqa: S105  (a template)
        values["unsubscribe"] = {"url": token, **account.unsubscribe}
    with private_folder() as folder:
        try:
            (folder / "list.csv").write_text("email\n", "utf-8")
            (folder / "body.j2").write_text("-", "utf-8")
            (folder / "campaign.yaml").write_text(yaml.safe_dump(values, allow_unicode=True), "utf-8")
        except OSError as error:
            raise unwritable(error) from error
        return load(folder / "campaign.yaml")
