"""The pydantic models of the campaign file; `campaign guide campaign-file` explains each field.

`yamlmarks` supplies the values, and `values` has their types. Single values are checked here, several
together in `consistency`.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, PrivateAttr, model_validator

from campaign.campaignfile.bounces import Bounces
from campaign.campaignfile.each import Answers, Attachments, Copies
from campaign.campaignfile.location import files_of
from campaign.campaignfile.part import Model as _Model
from campaign.campaignfile.part import WithSecret as _WithSecret
from campaign.campaignfile.part import about as _about
from campaign.campaignfile.part import left_out as _left_out
from campaign.campaignfile.readers import MAX_NAME, is_file
from campaign.campaignfile.secret import SecretSource
from campaign.campaignfile.values import (
    AnyPath,
    Auto,
    Column,
    Columns,
    Command,
    Delimiter,
    ExistingFolder,
    Flag,
    KeyFile,
    LedgerLocation,
    ListFile,
    RuleNames,
    Seconds,
    Share,
    TemplateFile,
    Texts,
    Whole,
    Windows,
)
from campaign.campaignfile.yamlmarks import Places
from campaign.errors import Problem, Severity
from campaign.model import Window
from campaign.smtp.auth import Mechanism
from campaign.wording import shown


class Security(StrEnum):
    """How the connection is encrypted."""

    TLS = "tls"
    STARTTLS = "starttls"
    NONE = "none"


class RecipientList(_Model):
    """The list of recipients."""

    csv: ListFile = _about("The CSV file or workbook (.xlsx), with a row for each person.")
    sheet: str | None = _about("The sheet of a workbook; the first, if it is not named.", default=None)
    email: Column = _about("The column that holds the address, or a template of it.", default="email")
    name: str | None = _about("The display name, a template.", default=None)
    key: Columns = _about(
        "The column, or columns, that make a row its own message; the email column if it is not named.",
        default_factory=tuple,
        min_length=1,
    )
    encoding: str = _about("The file's encoding, UTF-8 if it is not named.", default="utf-8")
    delimiter: Delimiter = _about(
        "The character between cells; chosen among , ; tab | if it is not named.", default=None
    )
    where: str | None = _about("A Jinja2 expression that says which rows are mailed.", default=None)


class BodyTemplates(_Model):
    """The template files."""

    subject: TemplateFile | None = _about("The subject, instead of `subject` inline.", default=None)
    text: TemplateFile | None = _about("The text part.", default=None)
    html: TemplateFile | None = _about("The HTML part.", default=None)
    markdown: TemplateFile | None = _about("Markdown, from which both parts are made.", default=None)
    mjml: TemplateFile | None = _about("MJML, from which the HTML part is made.", default=None)


class Utm(_Model):
    """Parameters for links to your own sites, so that their statistics show the campaign."""

    domains: Texts = _about("The domains whose links get them; the sender's by default.", default=())
    utm_source: str | None = _about("Its value, a template.", default=None)
    utm_medium: str | None = _about("Its value, a template.", default=None)
    utm_campaign: str | None = _about("Its value, a template.", default=None)
    utm_term: str | None = _about("Its value, a template.", default=None)
    utm_content: str | None = _about("Its value, a template.", default=None)
    utm_id: str | None = _about("Its value, a template.", default=None)


class UnsubscribeTexts(_Model):
    """The texts of the unsubscribe page in one language; {address} and {mailto} are filled in."""

    title: str | None = _about("The title.", default=None)
    question: str | None = _about("The question before the button.", default=None)
    button: str | None = _about("The button.", default=None)
    done: str | None = _about("The text after unsubscribing.", default=None)
    unknown: str | None = _about("The text for an unknown link.", default=None)
    later: str | None = _about("The text if it cannot be recorded now.", default=None)
    write: str | None = _about("How else to unsubscribe.", default=None)


class Unsubscribe(_WithSecret):
    """How a recipient leaves the list."""

    mailto: str | None = _about("An address for unsubscribe requests, or a template.", default=None)
    url: str | None = _about("A page for unsubscribe requests, a template.", default=None)
    secret_env: str | None = _about("The environment variable that holds the token's secret.", default=None)
    secret_command: Command | None = _about(
        "A command that prints the token's secret.", default=None, repr=False
    )
    secret_file: AnyPath | None = _about("A file that holds the token's secret.", default=None)
    one_click: Flag = _about("Whether the URL accepts the POST of RFC 8058.", default=False)
    texts: dict[str, UnsubscribeTexts] = _about(
        "Texts of the included unsubscribe page, by language: `de: {button: Abmelden}`.", default_factory=dict
    )

    @property
    def secret(self) -> SecretSource | None:
        """Where the token's secret comes from."""
        return self._source("unsubscribe.secret", self.secret_env, self.secret_command, self.secret_file)


class DkimAlgorithm(StrEnum):
    """How a signature is made (RFC 6376 3.3, RFC 8463)."""

    RSA_SHA256 = "rsa-sha256"
    ED25519_SHA256 = "ed25519-sha256"


class Dkim(_Model):
    """The DKIM signature of each message (RFC 6376)."""

    domain: str = _about("The signing domain, d=.")
    selector: str = _about("The selector, s=.")
    key_file: KeyFile = _about("The private key, PEM.")
    algorithm: DkimAlgorithm | None = _about("By the key's type, if it is not named.", default=None)


class Smtp(_WithSecret):
    """The server that messages are submitted to."""

    host: str = _about("The server's name.", min_length=1)
    port: Whole = _about(
        "Its port: 465 with security tls, else 587, if it is not named.", default=587, ge=1, le=65535
    )
    security: Security = _about(
        "tls, starttls, or none on loopback; tls at port 465 and starttls elsewhere if it is not named.",
        default=Security.STARTTLS,
    )
    username: str | None = _about("Who logs in.", default=None)
    account: str | None = _about(
        "A name for what the rate is counted for, instead of host and username.", default=None, min_length=1
    )
    password_env: str | None = _about("The environment variable that holds the password.", default=None)
    password_command: Command | None = _about("A command that prints the password.", default=None, repr=False)
    password_file: AnyPath | None = _about("A file that holds the password.", default=None)
    token_command: Command | None = _about(
        "A command that prints an access token, for xoauth2.", default=None, repr=False
    )
    auth: Mechanism | None = _about("The login mechanism, chosen if it is not named.", default=None)
    ca_file: KeyFile | None = _about("The CAs to trust, PEM, instead of the system's.", default=None)
    client_cert: KeyFile | None = _about("Our certificate, PEM.", default=None)
    client_key: KeyFile | None = _about("Its private key, PEM.", default=None)
    server_name: str | None = _about(
        "The name that its certificate must have, if you reach it by another one.", default=None
    )
    client_name: str | None = _about(
        "The name sent in EHLO; this host's, or its address if that has no full name.", default=None
    )
    connections: Whole = _about("The number of concurrent sessions.", default=1, ge=1, le=100)
    window: Whole = _about(
        "Messages that may be unanswered on each session, by BDAT, if the server supports it.",
        default=1,
        ge=1,
        le=32,
    )
    messages_per_session: Whole = _about("Messages before a session is renewed.", default=100, ge=1)
    rate: Windows = _about("Rates that all apply, such as 14/second.", default=())

    @model_validator(mode="before")
    @classmethod
    def _port_and_security(cls, values: Any) -> Any:
        """Set the default of each from the other (RFC 8314 3.3: port 465 has implicit TLS)."""
        if not isinstance(values, dict):
            return values
        security = "tls" if values.get("port") == 465 else "starttls"
        port = 465 if values.get("security", security) == "tls" else 587
        return {"security": security, "port": port, **values}

    @property
    def most_unanswered(self) -> int:
        """The most messages that can be unanswered, and so in doubt after a crash."""
        return self.connections * self.window

    @property
    def secret(self) -> SecretSource | None:
        """Where the password, or for xoauth2 the token, comes from."""
        if self.token_command is not None:
            return self._source("smtp.token", None, self.token_command, None)
        return self._source("smtp.password", self.password_env, self.password_command, self.password_file)


class RetryPolicy(_Model):
    """How often and when a deferred message is tried again; delays in seconds."""

    attempts: Whole = _about("Attempts at one message at most.", default=5, ge=1, le=100)
    first_delay: Seconds = _about("The wait before the second attempt, such as 60s.", default=60.0)
    max_delay: Seconds = _about("The longest wait, such as 1h.", default=3600.0)


class StopWhen(_Model):
    """When a run stops, to protect the sender's reputation."""

    refused: Share = _about(
        "The share of the last 200 results that may be refused, judged from 50 on.", default=0.2
    )
    in_doubt: Share = _about("The share of them that may be in doubt; also, five in a row.", default=0.05)


class Workers(_Model):
    """How workers send the campaign; its ledger must be in PostgreSQL."""

    count: Whole = _about(
        "How many concurrent drains `send` and beat request from a broker.", default=1, ge=1, le=1000
    )
    drain: Seconds = _about("How long each of them works, such as 45s.", default=45.0)
    broker_env: str | None = _about(
        "The environment variable that holds the address of Celery's broker.", default=None
    )


class Checking(_Model):
    """What `check` looks for."""

    ignore: RuleNames = _about("Rules whose findings are intended.", default=())


def _recipients(value: object) -> object:
    """Convert a path to the list with that path; set the default key, the email column."""
    if isinstance(value, str):
        value = {"csv": value}
    if not isinstance(value, dict):
        return value
    email = value.get("email")
    return {"key": email if isinstance(email, str) else "email", **value}


class CampaignFile(_Model):
    """One campaign file."""

    name: str = _about("Its identity in the ledger.", min_length=1, max_length=MAX_NAME)
    recipients: Annotated[RecipientList, BeforeValidator(_recipients)] = _about("The list.")
    from_: str = _about("The sender, a template.", alias="from", min_length=1)
    sender: str | None = _about("Who sends it, if not the author; a template.", default=None)
    reply_to: Answers = _about("Where replies go, a template, or several.", default=None)
    cc: Copies = _about("Copies, templates.", default=())
    bcc: Copies = _about("Blind copies, templates.", default=())
    envelope_from: str | None = _about("The return path, a template.", default=None)
    subject: str | None = _about("The subject, a template.", default=None)
    templates: BodyTemplates = _about("The template files.")
    preheader: str | None = _about(
        "The preview text that inboxes show after the subject, a template.", default=None
    )
    utm: Utm | None = _about("Parameters of links to your own sites.", default=None)
    vars: dict[str, Any] = _about("Constants for the templates.", default_factory=dict)
    headers: dict[str, str] = _about("More header fields, templates.", default_factory=dict)
    list_id: str | None = _about("The List-ID (RFC 2919).", default=None)
    inline_css: Flag = _about("Whether style blocks are inlined after rendering.", default=True)
    attachments: Attachments = _about("The files.", default=())
    calendar: TemplateFile | None = _about("An invitation, a template of a calendar.", default=None)
    attachments_root: ExistingFolder = _about(
        "The folder that contains attachments and images.", default=".", validate_default=True
    )
    unsubscribe: Unsubscribe | None = _about("How a recipient leaves the list.", default=None)
    dkim: Dkim | None = _about("The DKIM signature.", default=None)
    smtp: Smtp = _about("The server, or the path of a YAML file with these keys.")
    rate: Windows = _about("This campaign's rates, instead of the server's.", default=())
    retry: RetryPolicy = _left_out("When a deferred message is tried again.")
    stop_when: StopWhen = _left_out("When a run stops by itself.")
    check: Checking = _left_out("What `check` looks for.")
    bounces: Bounces = _left_out("How returned mail is handled.")
    workers: Workers | None = _about("The workers that send it, from a ledger in PostgreSQL.", default=None)
    suppress: Auto = _about("Whether dead addresses are suppressed.", default=True)
    ledger: LedgerLocation = _about(
        "The ledger: a file, or a PostgreSQL database.", default="ledger.db", validate_default=True
    )

    _places: Places = PrivateAttr()

    @property
    def file(self) -> Path:
        """The campaign file."""
        return self._places.file

    @property
    def folder(self) -> Path:
        """The folder that contains the campaign file."""
        return self.file.parent

    @property
    def private(self) -> tuple[Path, ...]:
        """Files that templates must not read and that must not be attached: list, ledger, keys, secrets."""
        files = [self.file, self.recipients.csv, self.smtp.client_key, self.smtp.password_file]
        files += files_of(self.ledger)
        files += [self.unsubscribe.secret_file] if self.unsubscribe is not None else []
        files += [self.bounces.imap.password_file] if self.bounces.imap is not None else []
        files += [self.dkim.key_file] if self.dkim is not None else []
        return tuple(file for file in files if file is not None)

    def problem(
        self, path: str, message: str, severity: Severity = Severity.ERROR, rule: str = ""
    ) -> Problem:
        """Return a problem at the dotted `path` of this file, such as `smtp.port`."""
        return self._places.problem(path, message, severity, rule)

    @property
    def warnings(self) -> list[Problem]:
        """The warnings about the file itself.

        A number in `vars` that prints differently than it is written, a text that a `#` cuts off, and a
        secret's file that does not exist: another machine may have it.
        """
        odd = (*self._places.rewritten(), *self._places.cut_off())
        found = [self.problem(path, what, Severity.WARNING, "campaignfile") for path, what in odd]
        secrets = [("smtp.password_file", self.smtp.password_file)]
        if self.bounces.imap is not None:
            secrets.append(("bounces.imap.password_file", self.bounces.imap.password_file))
        if self.unsubscribe is not None:
            secrets.append(("unsubscribe.secret_file", self.unsubscribe.secret_file))
        for path, file in secrets:
            if file is not None and not is_file(file):
                what = f"there is no file {shown(file)}"
                found.append(self.problem(path, what, Severity.WARNING, "campaignfile"))
        return found

    @property
    def windows(self) -> tuple[Window, ...]:
        """The rates that apply: the campaign's, otherwise the server's."""
        return self.rate or self.smtp.rate
