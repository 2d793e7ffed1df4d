"""Defines the bundle in which a campaign travels to workers, without its list and its secrets.

    pack(campaign, renderer, …) -> Packed(document, blobs)     `packing.py`, where the campaign was prepared
    read(document, name) -> Bundle                             on a worker; then `unpacking.py`

The document is JSON: the values of the campaign file, and the files that messages are made of, by the
SHA-256 of their contents. The server, the login, the DKIM key and the token secret are not part of it, and
a document with such values is refused: somebody who can write into the ledger must not be able to make a
worker run a command, read its files, or send a secret to a host. A worker takes these values from its own
file of accounts; the document names the account.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from campaign.campaignfile.models import CampaignFile
from campaign.errors import UserError
from campaign.ledger.scope import Scope
from campaign.message.tokens import Secrets, Tokens
from campaign.wording import size

VERSION = 1
MOST_ATTACHED = 16 * 1024 * 1024
"""The most octets of rows' own attachments that travel; more are read from a folder that machines share."""

HOME, ROOT = "campaign", "root"
"""The folders of a bundle's files: the campaign's, and attachments_root if it lies outside of that."""

_STAYS = {"smtp", "ledger", "recipients", "dkim", "bounces", "check", "workers", "attachments_root"}
TRAVELS = {
    info.alias or name
    for name, info in CampaignFile.model_fields.items()
    if (info.alias or name) not in _STAYS
}
OF_UNSUBSCRIBE = {"mailto", "url", "one_click"}
_MOST = 86_400.0  # the most drains, and seconds per drain
_ANY = "worker@campaign.invalid"  # two secrets are the same if this address has the same token


@dataclass(frozen=True, slots=True)
class Bundle:
    """A campaign as a worker gets it. `files` and `attached` map each path to its SHA-256.

    `root` is `attachments_root`, relative to the folder of the campaign file. `attached` are rows' own
    files; `shared`: they do not travel, but are read from a folder that machines share. `drains`: how many
    should run at once, each for `drain` seconds. `file` is the name of the campaign file, and `places` maps
    the dotted path of each value to its line and column there.
    """

    name: str
    account: str
    scope: Scope
    digest: str
    token: str
    columns: tuple[str, ...]
    list: Mapping[str, str]
    dkim: Mapping[str, str]
    values: Mapping[str, Any]
    root: str
    files: Mapping[str, str]
    attached: Mapping[str, str]
    shared: bool
    drains: int
    drain: float
    file: str
    places: Mapping[str, tuple[int, int]]


def account_of(campaign: CampaignFile) -> str:
    """Return the name of a campaign's account in the workers' files."""
    smtp = campaign.smtp
    return smtp.account or (f"{smtp.username}@{smtp.host}" if smtp.username else smtp.host)


def token_of(name: str, secrets: Secrets) -> str:
    """Return a token that is the same if and only if two unsubscribe secrets are the same."""
    return Tokens(name, secrets).unsubscribe(_ANY) if secrets.unsubscribe else ""


@dataclass(slots=True)
class _Reader:
    """Reads untrusted values; collects the names of invalid ones in `wrong`."""

    given: Mapping[str, Any]
    wrong: list[str] = field(default_factory=list)

    def text(self, name: str) -> str:
        value = self.given.get(name)
        if not isinstance(value, str):
            self.wrong.append(name)
            return ""
        return value

    def texts(self, name: str) -> dict[str, str]:
        value = self.given.get(name)
        if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
            self.wrong.append(name)
            return {}
        return {str(key): one for key, one in value.items()}

    def number(self, name: str) -> float:
        value = self.given.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST:
            self.wrong.append(name)
            return 0.0
        return float(value)

    def places(self, name: str) -> dict[str, tuple[int, int]]:
        value = self.given.get(name, {})
        if not isinstance(value, dict) or not all(map(_is_place, value.values())):
            self.wrong.append(name)
            return {}
        return {str(path): (line, column) for path, (line, column) in value.items()}

    def sequence(self, name: str) -> tuple[str, ...]:
        value = self.given.get(name)
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            self.wrong.append(name)
            return ()
        return tuple(value)


def _is_place(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(one, int) for one in value)


def read(document: bytes, name: str) -> Bundle:
    """Parse the bundle of a campaign. Raises UserError with the names of everything that is not allowed."""
    try:
        given = json.loads(document)
    except (ValueError, RecursionError):
        what = "its bundle in the ledger cannot be read; stop it, and send it again"
        raise UserError(f"{name}: {what}") from None
    if not isinstance(given, dict) or given.get("version") != VERSION:
        theirs = given.get("version") if isinstance(given, dict) else None
        what = f"its bundle has version {theirs}, and this program knows {VERSION}"
        raise UserError(f"{name}: {what}: workers and `campaign send` must be of one release")
    reader = _Reader(given)
    scope, values = reader.sequence("scope"), given.get("values")
    bundle = Bundle(
        name=reader.text("name"),
        account=reader.text("account"),
        scope=Scope(*scope) if len(scope) == 2 else Scope("", ""),
        digest=reader.text("digest"),
        token=reader.text("token"),
        columns=reader.sequence("columns"),
        list=reader.texts("list"),
        dkim=reader.texts("dkim"),
        values=values if isinstance(values, dict) else {},
        root=reader.text("root"),
        files=reader.texts("files"),
        attached=reader.texts("attached"),
        shared=given.get("shared") is True,
        drains=int(reader.number("drains")),
        drain=reader.number("drain"),
        file=reader.text("file") if "file" in given else "campaign.yaml",  # earlier releases have no name
        places=reader.places("places"),
    )
    wrong = [*reader.wrong, *_misplaced(bundle)]
    if wrong:
        what = f"its bundle has values that are invalid, or only a worker may set: {', '.join(sorted(wrong))}"
        raise UserError(f"{name}: {what}")
    return bundle


def _misplaced(bundle: Bundle) -> Iterable[str]:
    yield from (f"values.{key}" for key in bundle.values.keys() - TRAVELS)
    unsubscribe = bundle.values.get("unsubscribe")
    if unsubscribe is not None:
        keys = unsubscribe.keys() if isinstance(unsubscribe, dict) else {"?"}
        yield from (f"values.unsubscribe.{key}" for key in keys - OF_UNSUBSCRIBE)
    yield from (f"list.{key}" for key in bundle.list.keys() - {"email", "name"})
    yield from (f"dkim.{key}" for key in bundle.dkim.keys() - {"domain", "selector"})
    yield from (f"files: {path}" for path in bundle.files if not _is_below(path, (HOME, ROOT)))
    yield from (f"attached: {path}" for path in bundle.attached if not _is_below(path))
    if bundle.root != f"../{ROOT}" and bundle.root != "." and not _is_below(bundle.root):
        yield f"root: {bundle.root}"
    templates = bundle.values.get("templates")
    for key, path in templates.items() if isinstance(templates, dict) else ():
        if not isinstance(path, str) or f"{HOME}/{PurePosixPath(path).as_posix()}" not in bundle.files:
            yield f"values.templates.{key}: {path}"


def _is_below(path: str, tops: tuple[str, ...] = ()) -> bool:
    parts = PurePosixPath(path).parts
    safe = bool(parts) and "\\" not in path and "\0" not in path and not path.startswith(("/", "~"))
    return safe and ".." not in parts and (not tops or (parts[0] in tops and len(parts) > 1))


def too_large(bundle: Bundle) -> str:
    """Return why a worker needs the folder that machines share."""
    return f"rows' own attachments are more than {size(MOST_ATTACHED)}, and do not travel"


def refused(bundle: Bundle, why: str) -> UserError:
    """Return the error for a campaign that a worker cannot send."""
    return UserError(f"{bundle.name} is not sent from here: {why}")
