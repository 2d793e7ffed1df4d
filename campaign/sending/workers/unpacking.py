"""A bundle on a worker → the campaign that it sends: the same messages, or none.

The files go to a private folder that vanishes afterwards. What says where mail goes and what keys it
comes from the worker's own accounts. The digest of the content must come out as where the campaign was
prepared: then templates, files and program say the same.
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

# What nobody sends is hidden, and no file of the campaign has such a name.
FILE, _LIST = ".campaign.yaml", ".list.csv"
Blobs = Callable[[bytes], bytes | None]
"""Returns the content with this SHA-256."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A campaign that a worker can send, and what makes its messages.

    `shared` is the folder of rows' own files, where they do not travel.
    """

    campaign: CampaignFile
    renderer: Renderer
    shared: SharedFolder | None


def unpack(bundle: Bundle, blobs: Blobs, accounts: Accounts, ledger_secret: bytes, folder: Path) -> Unpacked:
    """Make the campaign of a bundle in an empty folder.

    Raises UserError where it would differ, by name, and OSError where there is no room for it.
    """
    account = accounts.named(bundle.account)
    root = folder / HOME / bundle.root
    attached = {} if bundle.shared else bundle.attached
    wanted = {folder / path: sha256 for path, sha256 in bundle.files.items()}
    wanted.update((root / path, sha256) for path, sha256 in attached.items())
    for path, sha256 in wanted.items():
        if not _write(path, sha256, blobs):
            what = f"{path.name} of its bundle is not in the ledger"
            raise refused(bundle, f"{what}; stop it, and send it again")
    root.mkdir(parents=True, exist_ok=True)
    shared = SharedFolder(bundle, account) if bundle.shared else None
    campaign = load(_written(bundle, account, folder))
    if scope_of(campaign) != bundle.scope:
        ours, theirs = scope_of(campaign), bundle.scope
        what = f"the account {account.name!r} is {ours.username}@{ours.host} here, and there"
        raise refused(bundle, f"{what} {theirs.username}@{theirs.host}: its rate would be another")
    secrets = secrets_of(campaign, ledger_secret)
    renderer = Renderer(campaign, bundle.columns, secrets)
    _refuse_other(bundle, campaign, renderer, secrets)
    return Unpacked(campaign, renderer, shared)


def _refuse_other(bundle: Bundle, campaign: CampaignFile, renderer: Renderer, secrets: Secrets) -> None:
    if token_of(campaign.name, secrets) != bundle.token:
        raise refused(bundle, "the unsubscribe secret of its account is another one here")
    if renderer.digest != bundle.digest:
        raise refused(bundle, "its content comes out otherwise here: is this another release of the program?")


def _written(bundle: Bundle, account: Account, folder: Path) -> Path:
    """Write the campaign file that the values and the account make, and return it."""
    values: dict[str, Any] = dict(bundle.values)
    values["name"] = bundle.name
    values["recipients"] = {"csv": _LIST, **bundle.list}
    values["smtp"] = account.smtp_of(bundle.scope)
    values["attachments_root"] = str(account.attachments_root) if bundle.shared else bundle.root
    if bundle.dkim:
        same = {key: account.dkim.get(key) for key in ("domain", "selector")}
        if same != dict(bundle.dkim):
            wanted = f"{bundle.dkim.get('selector')} of {bundle.dkim.get('domain')}"
            raise refused(bundle, f"the account {account.name!r} has no DKIM key {wanted}")
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
    """Write a file of the bundle; return whether it is in the ledger."""
    content = None
    with suppress(ValueError):
        content = blobs(bytes.fromhex(sha256))
    if content is None or hashlib.sha256(content).hexdigest() != sha256:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.chmod(path, 0o600)  # noqa: PTH101
    return True
