"""What a message needs, as it travels to workers: a campaign without its list and its secrets.

    pack(campaign, preparation, …) -> Packed(document, blobs)      where the campaign was prepared
    read(document) -> Bundle                                       on a worker; `unpacking.py` goes on

The document is JSON: the values of the campaign file, and by the SHA-256 of their contents the files that
messages are made of. What says where mail is sent, who logs in, what signs and what keys tokens is no part
of it, and a document that says so is refused by name: whoever can write into the ledger must not make a
worker run a command, read a file of its own, or show a secret to a host. A worker has all that from its
own file of accounts; the document says which account.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from campaign.campaignfile.models import CampaignFile
from campaign.campaignfile.octets import MOST_OF_AN_ATTACHMENT, read_file
from campaign.campaignfile.yamlmarks import read as read_yaml
from campaign.errors import UserError
from campaign.ledger.scope import Scope
from campaign.message.render import Renderer
from campaign.message.tokens import Secrets, Tokens
from campaign.model import Recipient
from campaign.ownfiles import OwnFiles
from campaign.sending.account import scope_of
from campaign.wording import shown, size

VERSION = 1
MOST_ATTACHED = 16 * 1024 * 1024
"""Octets of rows' own attachments that travel; more than that is read from a folder that machines share."""

_STAYS = {"smtp", "ledger", "recipients", "dkim", "bounces", "check", "workers", "attachments_root"}
_TRAVELS = {
    info.alias or name
    for name, info in CampaignFile.model_fields.items()
    if (info.alias or name) not in _STAYS
}
_OF_UNSUBSCRIBE = {"mailto", "url", "one_click"}
_MOST = 86_400.0  # drains, and seconds of one
_ANY = "worker@campaign.invalid"  # the address whose token tells whether two secrets are the same


@dataclass(frozen=True, slots=True)
class Bundle:
    """A campaign as a worker gets it. `files` and `attached` are by path, with the SHA-256 of each.

    `root` is `attachments_root`, from the folder of the campaign file. `attached` are rows' own files;
    where they do not travel (`shared`), they are read from a folder that machines share. So many `drains`
    are wanted at once, each for `drain` seconds.
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


@dataclass(frozen=True, slots=True)
class Packed:
    """A bundle's document, and the blobs that it names, by their SHA-256."""

    document: bytes
    blobs: Mapping[bytes, bytes]


def account_of(campaign: CampaignFile) -> str:
    """Return the name under which workers know the account that a campaign sends with."""
    smtp = campaign.smtp
    return smtp.account or (f"{smtp.username}@{smtp.host}" if smtp.username else smtp.host)


def token_of(name: str, secrets: Secrets) -> str:
    """Return what is the same where two unsubscribe secrets are."""
    return Tokens(name, secrets).unsubscribe(_ANY) if secrets.unsubscribe else ""


def pack(
    campaign: CampaignFile,
    renderer: Renderer,
    columns: tuple[str, ...],
    rows: Iterable[Recipient],
    secrets: Secrets,
) -> Packed:
    """Return the bundle of a campaign that was prepared. `rows` are those that will be sent.

    Raises UserError with what cannot travel.
    """
    folder, root = campaign.folder.resolve(), campaign.attachments_root.resolve()
    paths = _Paths(folder, root)
    blobs: dict[bytes, bytes] = {}
    own = OwnFiles(campaign.file).content()
    if own.unknown:
        what = f"which template it is, only a row tells ({', '.join(own.unknown)}): workers could not have it"
        raise UserError(campaign.problem("templates", what))
    for path in (*own.files, *_small(own.images)):
        paths.add(path, _kept(_read(path), blobs))
    attached, shared = _attached(renderer, rows, root, blobs)
    values = read_yaml(campaign.file).value
    document = {
        "version": VERSION,
        "name": campaign.name,
        "account": account_of(campaign),
        "scope": [scope_of(campaign).host, scope_of(campaign).username],
        "digest": renderer.digest,
        "token": token_of(campaign.name, secrets),
        "columns": list(columns),
        "list": _list(campaign),
        "dkim": {"domain": campaign.dkim.domain, "selector": campaign.dkim.selector} if campaign.dkim else {},
        "values": _travelling(values, campaign),
        "root": paths.root,
        "files": paths.found,
        "attached": attached,
        "shared": shared,
        "drains": campaign.workers.count if campaign.workers is not None else 1,
        "drain": campaign.workers.drain if campaign.workers is not None else 0.0,
    }
    return Packed(json.dumps(document, ensure_ascii=False, default=str).encode(), blobs)


def _small(images: Sequence[Path]) -> Sequence[Path]:
    """Return images that rows could name, unless they are too large together to travel."""
    return images if sum(image.stat().st_size for image in images) <= MOST_ATTACHED else ()


def _list(campaign: CampaignFile) -> dict[str, str]:
    found = {"email": campaign.recipients.email}
    return {**found, "name": campaign.recipients.name} if campaign.recipients.name is not None else found


def _travelling(values: object, campaign: CampaignFile) -> dict[str, Any]:
    given = values if isinstance(values, dict) else {}
    kept = {key: value for key, value in given.items() if key in _TRAVELS}
    if isinstance(kept.get("unsubscribe"), dict):
        own = kept["unsubscribe"]
        kept["unsubscribe"] = {key: value for key, value in own.items() if key in _OF_UNSUBSCRIBE}
    if campaign.windows:
        kept["rate"] = [str(window) for window in campaign.windows]
    return kept


class _Paths:
    """Where files lie, from the folder that a worker unpacks to."""

    def __init__(self, folder: Path, root: Path) -> None:
        self._folder = folder
        self._root = root
        inside = root.is_relative_to(folder)
        self.root = PurePosixPath(root.relative_to(folder)).as_posix() if inside else "../root"
        self._own_root = not inside
        self.found: dict[str, str] = {}

    def add(self, path: Path, sha256: str) -> None:
        places = []
        if path.is_relative_to(self._folder):
            places.append(f"campaign/{path.relative_to(self._folder).as_posix()}")
        if self._own_root and path.is_relative_to(self._root):
            places.append(f"root/{path.relative_to(self._root).as_posix()}")
        if not places:
            what = "lies outside of the campaign's folder and of attachments_root: workers could not have it"
            raise UserError(f"{shown(path)} {what}")
        self.found.update(dict.fromkeys(places, sha256))


def _attached(
    renderer: Renderer, rows: Iterable[Recipient], root: Path, blobs: dict[bytes, bytes]
) -> tuple[dict[str, str], bool]:
    """Return rows' own attachments, and whether they are too large to travel."""
    if not renderer.files_named_by:
        return {}, False
    found: dict[str, str] = {}
    own: dict[bytes, bytes] = {}
    octets = 0
    for paths in renderer.attached(rows):
        for path in paths:
            name = path.relative_to(root).as_posix()
            if name in found:
                continue
            content = _read(path)
            octets += len(content)
            if octets > MOST_ATTACHED:
                own.clear()
                found[name] = hashlib.sha256(content).hexdigest()
            else:
                found[name] = _kept(content, own)
    blobs.update(own)
    return found, octets > MOST_ATTACHED


def _read(path: Path) -> bytes:
    try:
        return read_file(path, MOST_OF_AN_ATTACHMENT)
    except OSError as error:
        raise UserError(f"{shown(path)} cannot be read: {error.strerror}") from None


def _kept(content: bytes, blobs: dict[bytes, bytes]) -> str:
    sha256 = hashlib.sha256(content)
    blobs[sha256.digest()] = content
    return sha256.hexdigest()


@dataclass(slots=True)
class _Reader:
    """Reads what others may have written: `wrong` is what is no part of a bundle, by name."""

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

    def sequence(self, name: str) -> tuple[str, ...]:
        value = self.given.get(name)
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            self.wrong.append(name)
            return ()
        return tuple(value)


def read(document: bytes) -> Bundle:
    """Read a bundle. Raises UserError with the names of all that has no place in it."""
    try:
        given = json.loads(document)
    except ValueError:
        raise UserError("the campaign's bundle in the ledger cannot be read; send it again") from None
    if not isinstance(given, dict) or given.get("version") != VERSION:
        theirs = given.get("version") if isinstance(given, dict) else None
        what = f"its bundle has version {theirs}, and this program knows {VERSION}"
        raise UserError(f"{what}: workers and `campaign send` must be of one release")
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
    )
    wrong = [*reader.wrong, *_misplaced(bundle)]
    if wrong:
        what = f"its bundle says what only a worker's own file may say, or nobody: {', '.join(sorted(wrong))}"
        raise UserError(f"{bundle.name}: {what}")
    return bundle


def _misplaced(bundle: Bundle) -> Iterable[str]:
    yield from (f"values.{key}" for key in bundle.values.keys() - _TRAVELS)
    unsubscribe = bundle.values.get("unsubscribe")
    if unsubscribe is not None:
        keys = unsubscribe.keys() if isinstance(unsubscribe, dict) else {"?"}
        yield from (f"values.unsubscribe.{key}" for key in keys - _OF_UNSUBSCRIBE)
    yield from (f"list.{key}" for key in bundle.list.keys() - {"email", "name"})
    yield from (f"dkim.{key}" for key in bundle.dkim.keys() - {"domain", "selector"})
    yield from (f"files: {path}" for path in bundle.files if not _is_below(path, ("campaign", "root")))
    yield from (f"attached: {path}" for path in bundle.attached if not _is_below(path))
    if bundle.root != "../root" and bundle.root != "." and not _is_below(bundle.root):
        yield f"root: {bundle.root}"
    templates = bundle.values.get("templates")
    for key, path in templates.items() if isinstance(templates, dict) else ():
        if not isinstance(path, str) or f"campaign/{PurePosixPath(path).as_posix()}" not in bundle.files:
            yield f"values.templates.{key}: {path}"


def _is_below(path: str, tops: tuple[str, ...] = ()) -> bool:
    parts = PurePosixPath(path).parts
    safe = bool(parts) and "\\" not in path and "\0" not in path and not path.startswith(("/", "~"))
    return safe and ".." not in parts and (not tops or (parts[0] in tops and len(parts) > 1))


def too_large(bundle: Bundle) -> str:
    """Return why a worker needs the folder that machines share."""
    return f"rows' own attachments are more than {size(MOST_ATTACHED)}, and do not travel"
