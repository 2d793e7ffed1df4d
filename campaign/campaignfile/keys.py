"""Explain an unknown key: the key that may be meant, or the place where it belongs."""

from __future__ import annotations

import difflib
from types import UnionType
from typing import Any, get_args

from pydantic import BaseModel

from campaign.campaignfile.models import CampaignFile
from campaign.campaignfile.yamlmarks import Path as ValuePath

# The names of our keys in other programs.
_SYNONYMS: dict[ValuePath, dict[str, str]] = {
    (): {"body": "templates", "files": "attachments", "list": "recipients", "server": "smtp"},
    ("recipients",): {
        "address": "email", "charset": "encoding", "column": "email", "excel": "csv", "file": "csv",
        "filter": "where", "list": "csv", "path": "csv", "separator": "delimiter", "xlsx": "csv",
    },
    ("smtp",): {
        "encryption": "security", "hostname": "host", "limit": "rate", "login": "username", "server": "host",
        "ssl": "security", "starttls": "security", "tls": "security",
    },
    ("templates",): {"body": "text", "md": "markdown", "plain": "text", "txt": "text"},
}  # fmt: skip


def unknown_key(path: ValuePath) -> str:
    """Return the message that the key at `path` is unknown, and which one is meant or where it belongs."""
    key = str(path[-1])
    if path == ("smtp", "smtp"):
        return "unknown key; the keys below it belong at the left margin"
    if near := meant_key(path):
        return f"unknown key; did you mean {near!r}?"
    homes: dict[str, ValuePath] = {
        "at the top level": (),
        **{f"under `{name}:`": (name,) for name in CampaignFile.model_fields if _known_keys((name,))},
    }
    home = next((home for home, at in homes.items() if at != path[:-1] and key in _known_keys(at)), None)
    return f"unknown key; it belongs {home}" if home else "unknown key"


def meant_key(path: ValuePath) -> str:
    """Return the known key that is most similar to the unknown one at `path`, or ""."""
    key, known = str(path[-1]).lower(), _known_keys(path[:-1])
    if key in (synonyms := _SYNONYMS.get(path[:-1], {})):
        return synonyms[key]
    near = difflib.get_close_matches(key, known, 1)
    return near[0] if near else ""


def _known_keys(path: ValuePath) -> list[str]:
    """Return the keys that are allowed at `path`."""
    model: type[BaseModel] = CampaignFile
    for part in path:
        if isinstance(part, int):
            continue
        field = next((f for n, f in model.model_fields.items() if (f.alias or n) == part), None)
        kinds = _models(field.annotation) if field is not None else []
        if not kinds:
            return []
        model = kinds[0]
    return [field.alias or name for name, field in model.model_fields.items()]


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if isinstance(annotation, UnionType) or get_args(annotation):
        return [model for argument in get_args(annotation) for model in _models(argument)]
    return []
