"""Packs a prepared campaign into its bundle, with the files that messages are made of; see `bundle`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from campaign.campaignfile.models import CampaignFile
from campaign.campaignfile.octets import MOST_OF_AN_ATTACHMENT, read_file
from campaign.campaignfile.yamlmarks import Document, dotted
from campaign.campaignfile.yamlmarks import read as read_yaml
from campaign.errors import UserError
from campaign.message.render import Renderer
from campaign.message.tokens import Secrets
from campaign.model import Recipient
from campaign.ownfiles import OwnFiles
from campaign.sending.account import scope_of
from campaign.sending.workers.bundle import (
    HOME,
    MOST_ATTACHED,
    OF_UNSUBSCRIBE,
    ROOT,
    TRAVELS,
    VERSION,
    account_of,
    token_of,
)
from campaign.wording import shown


@dataclass(frozen=True, slots=True)
class Packed:
    """A bundle's document, and its files' contents by SHA-256."""

    document: bytes
    blobs: Mapping[bytes, bytes]


def pack(
    campaign: CampaignFile,
    renderer: Renderer,
    columns: tuple[str, ...],
    rows: Iterable[Recipient],
    secrets: Secrets,
) -> Packed:
    """Return the bundle of a prepared campaign. `rows` are those that will be sent.

    Raises UserError for something that cannot travel.
    """
    folder, root = campaign.folder.resolve(), campaign.attachments_root.resolve()
    paths = _Paths(folder, root)
    blobs: dict[bytes, bytes] = {}
    own = OwnFiles(campaign.file).content()
    if own.unknown:
        what = f"the template's name depends on the row ({', '.join(own.unknown)}): workers could not have it"
        raise UserError(campaign.problem("templates", what))
    for path in (*own.files, *_small(own.images)):
        paths.add(path, _store(_read(path), blobs))
    attached, shared = _attached(renderer, rows, root, blobs)
    written = read_yaml(campaign.file)
    values = _travelling(written.value, campaign)
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
        "values": values,
        "root": paths.root,
        "files": paths.by_place,
        "attached": attached,
        "shared": shared,
        "drains": campaign.workers.count if campaign.workers is not None else 1,
        "drain": campaign.workers.drain if campaign.workers is not None else 0.0,
        "file": campaign.file.name,
        "places": _places(written, values),
    }
    return Packed(json.dumps(document, ensure_ascii=False, default=str).encode(), blobs)


def _small(images: Sequence[Path]) -> Sequence[Path]:
    """Return the images that rows could name, unless together they are too large to travel."""
    return images if sum(image.stat().st_size for image in images) <= MOST_ATTACHED else ()


def _list(campaign: CampaignFile) -> dict[str, str]:
    email = {"email": campaign.recipients.email}
    return {**email, "name": campaign.recipients.name} if campaign.recipients.name is not None else email


def _travelling(values: object, campaign: CampaignFile) -> dict[str, Any]:
    given = values if isinstance(values, dict) else {}
    kept = {key: value for key, value in given.items() if key in TRAVELS}
    if isinstance(kept.get("unsubscribe"), dict):
        own = kept["unsubscribe"]
        kept["unsubscribe"] = {key: value for key, value in own.items() if key in OF_UNSUBSCRIBE}
    if campaign.windows:
        kept["rate"] = [str(window) for window in campaign.windows]
    return kept


def _places(written: Document, values: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Return the line and column of each travelling value, by its dotted path."""
    own = {("unsubscribe", key) for key in values.get("unsubscribe") or {}}
    return {
        dotted(path): place
        for path, place in written.marks.items()
        if path and path[0] in {*values, "recipients"} and (path[0] != "unsubscribe" or path[:2] in own)
    }


class _Paths:
    """Maps files to their places below the folder that a worker unpacks to."""

    def __init__(self, folder: Path, root: Path) -> None:
        self._folder = folder
        self._root = root
        inside = root.is_relative_to(folder)
        self.root = PurePosixPath(root.relative_to(folder)).as_posix() if inside else f"../{ROOT}"
        self._own_root = not inside
        self.by_place: dict[str, str] = {}

    def add(self, path: Path, sha256: str) -> None:
        places = []
        if path.is_relative_to(self._folder):
            places.append(f"{HOME}/{path.relative_to(self._folder).as_posix()}")
        if self._own_root and path.is_relative_to(self._root):
            places.append(f"{ROOT}/{path.relative_to(self._root).as_posix()}")
        if not places:
            what = "lies outside of the campaign's folder and of attachments_root: workers could not have it"
            raise UserError(f"{shown(path)} {what}")
        self.by_place.update(dict.fromkeys(places, sha256))


def _attached(
    renderer: Renderer, rows: Iterable[Recipient], root: Path, blobs: dict[bytes, bytes]
) -> tuple[dict[str, str], bool]:
    """Return rows' own attachments (path → SHA-256), and whether they are too large to travel."""
    if not renderer.files_named_by:
        return {}, False
    attached: dict[str, str] = {}
    own: dict[bytes, bytes] = {}
    octets = 0
    for paths in renderer.attached(rows):
        for path in paths:
            name = path.relative_to(root).as_posix()
            if name in attached:
                continue
            content = _read(path)
            octets += len(content)
            if octets > MOST_ATTACHED:
                own.clear()
                attached[name] = hashlib.sha256(content).hexdigest()
            else:
                attached[name] = _store(content, own)
    blobs.update(own)
    return attached, octets > MOST_ATTACHED


def _read(path: Path) -> bytes:
    try:
        return read_file(path, MOST_OF_AN_ATTACHMENT)
    except OSError as error:
        raise UserError(f"{shown(path)} cannot be read: {error.strerror}") from None


def _store(content: bytes, blobs: dict[bytes, bytes]) -> str:
    sha256 = hashlib.sha256(content)
    blobs[sha256.digest()] = content
    return sha256.hexdigest()
