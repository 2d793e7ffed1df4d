"""Reads a worker's own file of accounts: for each, its server, its DKIM key and its unsubscribe secret.

    accounts:
      news:                                    # smtp.account, or user@host, of the campaign file
        smtp: {host: mail.example.com, username: news, password_file: /etc/campaign/news}
        dkim: {domain: example.com, selector: s1, key_file: /etc/campaign/dkim.pem}
        unsubscribe: {secret_file: /etc/campaign/unsubscribe}
        attachments_root: /srv/letters         # if rows' own files are too large to travel

The keys are those of the campaign file. Paths are relative to this file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from campaign.campaignfile.yamlmarks import Document, read
from campaign.errors import Problem, UserError
from campaign.ledger.scope import Scope
from campaign.wording import shown

VARIABLE = "CAMPAIGN_ACCOUNTS"
"""The environment variable that names the file, if the command line does not."""

_KEYS = {"smtp", "dkim", "unsubscribe", "attachments_root"}
_PATHS = {
    "smtp": {"ca_file", "client_cert", "client_key", "password_file"},
    "dkim": {"key_file"},
    "unsubscribe": {"secret_file"},
}


@dataclass(frozen=True, slots=True)
class Account:
    """An account in a worker's file: values as in a campaign file, with absolute paths."""

    name: str
    smtp: Mapping[str, Any] | str
    dkim: Mapping[str, Any] = field(default_factory=dict)
    unsubscribe: Mapping[str, Any] = field(default_factory=dict)
    attachments_root: Path | None = None

    def smtp_of(self, scope: Scope) -> Mapping[str, Any] | str:
        """Return its `smtp`; for a campaign that names an account, with this account's name."""
        if isinstance(self.smtp, str) or scope.host or "account" in self.smtp:
            return self.smtp
        return {**self.smtp, "account": self.name}


@dataclass(frozen=True, slots=True)
class Accounts:
    """The accounts of a worker's file; `document` knows their lines and columns."""

    document: Document
    by_name: Mapping[str, Account]

    def named(self, name: str) -> Account:
        """Return an account. Raises UserError if the file has none of this name."""
        account = self.by_name.get(name)
        if account is None:
            what = f"there is no account {name!r}"
            if self.by_name:
                raise UserError(Problem(f"{what}, which a campaign sends with", shown(self.document.file)))
            raise UserError(f"{what} here, which a campaign sends with; none are known")
        return account


def load_accounts(file: Path | None) -> Accounts:
    """Read a worker's accounts from `file`, or by default from CAMPAIGN_ACCOUNTS. Raises UserError."""
    path = file or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if path is None:
        what = f"a worker needs its file of accounts: name it with --accounts, or in {VARIABLE}"
        raise UserError(f"{what}; `campaign guide machines` shows one")
    if not path.exists():
        what = "there is no such file of accounts; `campaign guide machines` shows one"
        raise UserError(Problem(what, shown(path)))
    document = read(path.absolute())
    values = document.mapping("a file of accounts begins with `accounts:`").get("accounts")
    if not isinstance(values, dict) or not all(isinstance(one, dict) for one in values.values()):
        raise UserError(document.problem(("accounts",), "expected accounts, each with its `smtp:`"))
    problems = list(document.problems)
    for name, account in values.items():
        problems += [
            document.problem(("accounts", name, key), "unknown key", at_key=True)
            for key in account.keys() - _KEYS
        ]
        if not isinstance(account.get("smtp"), str | dict):
            problems.append(document.problem(("accounts", name), "an account has its `smtp:`"))
    if problems:
        raise UserError(*problems)
    folder = path.absolute().parent
    return Accounts(document, {str(name): _account(str(name), one, folder) for name, one in values.items()})


def _account(name: str, values: Mapping[str, Any], folder: Path) -> Account:
    smtp = values["smtp"]
    root = values.get("attachments_root")
    return Account(
        name,
        str(folder / smtp) if isinstance(smtp, str) else _absolute(smtp, _PATHS["smtp"], folder),
        _absolute(values.get("dkim") or {}, _PATHS["dkim"], folder),
        _absolute(values.get("unsubscribe") or {}, _PATHS["unsubscribe"], folder),
        folder / root if isinstance(root, str) else None,
    )


def _absolute(values: Mapping[str, Any], paths: set[str], folder: Path) -> dict[str, Any]:
    return {
        key: str(folder / Path(value).expanduser()) if key in paths and isinstance(value, str) else value
        for key, value in values.items()
    }
