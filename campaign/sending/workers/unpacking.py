"""Unpacks a bundle on a worker into a campaign that makes the same messages as where it was prepared.

The files go to a private temporary folder. Server, login, keys and secrets come from the worker's own file
of accounts. The digest of the content must be the same as where the campaign was prepared: this proves that
templates, files and program agree.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from campaign.campaignfile.load import load
from campaign.campaignfile.models import CampaignFile
from campaign.message.render import Renderer
from campaign.message.tokens import Secrets
from campaign.sending.account import scope_of, secrets_of
from campaign.sending.workers.accounts import Account, Accounts
from campaign.sending.workers.bundle import HOME, Bundle, refused, token_of
from campaign.sending.workers.sharedfiles import SharedFolder

# Hidden files are never attached, so no file of the campaign has such a name.
FILE, _LIST = ".campaign.yaml", ".list.csv"
Blobs = Callable[[bytes], bytes | None]
"""Returns the content with this SHA-256."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A campaign that a worker can send, with its renderer.

    `shared` is the folder of rows' own files, if they do not travel.
    """

    campaign: CampaignFile
    renderer: Renderer
    shared: SharedFolder | None


def unpack(bundle: Bundle, blobs: Blobs, accounts: Accounts, ledger_secret: bytes, folder: Path) -> Unpacked:
    """Write the files of a bundle into an empty folder, and load the campaign.

    Raises UserError if it would differ, and OSError if the files cannot be written.
    """
    account = accounts.named(bundle.account)
    root = folder / HOME / bundle.root
    attached = {} if bundle.shared else bundle.attached
    files = {folder / path: sha256 for path, sha256 in bundle.files.items()}
    files.update((root / path, sha256) for path, sha256 in attached.items())
    for path, sha256 in files.items():
        if not _write(path, sha256, blobs):
            what = f"{path.name} of its bundle is not in the ledger"
            raise refused(bundle, f"{what}; stop it, and send it again")
    root.mkdir(parents=True, exist_ok=True)
    shared = SharedFolder(bundle, account) if bundle.shared else None
    campaign = load(_write_campaign_file(bundle, account, folder))
    if scope_of(campaign) != bundle.scope:
        ours, theirs = scope_of(campaign), bundle.scope
        what = f"the account {account.name!r} is {ours.username}@{ours.host} here, and there"
        raise refused(bundle, f"{what} {theirs.username}@{theirs.host}: another account has another rate")
    secrets = secrets_of(campaign, ledger_secret)
    renderer = Renderer(campaign, bundle.columns, secrets)
    _refuse_other(bundle, campaign, renderer, secrets)
    return Unpacked(campaign, renderer, shared)


def _refuse_other(bundle: Bundle, campaign: CampaignFile, renderer: Renderer, secrets: Secrets) -> None:
    if token_of(campaign.name, secrets) != bundle.token:
        raise refused(bundle, "the unsubscribe secret of its account is another one here")
    if renderer.digest != bundle.digest:
        raise refused(bundle, "its content is different here: is this another release of the program?")


def _write_campaign_file(bundle: Bundle, account: Account, folder: Path) -> Path:
    """Write a campaign file from the bundle's values and the account; return its path."""
    values: dict[str, Any] = dict(bundle.values)
    values["name"] = bundle.name
    values["recipients"] = {"csv": _LIST, **bundle.list}
    values["smtp"] = account.smtp_of(bundle.scope)
    values["attachments_root"] = str(account.attachments_root) if bundle.shared else bundle.root
    if bundle.dkim:
        same = {key: account.dkim.get(key) for key in ("domain", "selector")}
        if same != dict(bundle.dkim):
            key = f"{bundle.dkim.get('selector')} of {bundle.dkim.get('domain')}"
            raise refused(bundle, f"the account {account.name!r} has no DKIM key {key}")
        values["dkim"] = account.dkim
    if bundle.token:
        if not account.unsubscribe:
            raise refused(bundle, f"the account {account.name!r} has no unsubscribe secret")
        values["unsubscribe"] = {**values.get("unsubscribe", {}), **account.unsubscribe}
    home = folder / HOME
    home.mkdir(exist_ok=True)
    (home / _LIST).write_text(_header(bundle.columns), "utf-8")
    (home / FILE).write_text(yaml.safe_dump(values, allow_unicode=True, sort_keys=False), "utf-8")
    return home / FILE


def _header(columns: tuple[str, ...]) -> str:
    return ",".join('"' + column.replace('"', '""') + '"' for column in columns) + "\n"


def _write(path: Path, sha256: str, blobs: Blobs) -> bool:
    """Write a file of the bundle; return False if its content is not in the ledger."""
    content = None
    with suppress(ValueError):
        content = blobs(bytes.fromhex(sha256))
    if content is None or hashlib.sha256(content).hexdigest() != sha256:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.chmod(path, 0o600)  # noqa: PTH101
    return True
