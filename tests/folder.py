"""The one builder of campaign folders: a valid campaign, with the changes that a test is about."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

NAME = "spring.yaml"
LIST, TEXT, HTML = "list.csv", "body.txt", "body.html"


def write_campaign(
    folder: Path, files: Mapping[str, str | bytes] | None = None, *, file: str = NAME, **changes: Any
) -> Path:
    """Write `file` and `files` into a folder, and return the campaign file's path.

    The campaign is the smallest that is valid; a change replaces a key of it, and None removes one. A
    list and a text body are made where there are none.
    """
    content: dict[str, str | bytes] = {LIST: "email\n", TEXT: "Hi\n"}
    content = {name: what for name, what in content.items() if not (folder / name).exists()}
    for name, what in {**content, **(files or {})}.items():
        (folder / name).write_bytes(what.encode() if isinstance(what, str) else what)
    values: dict[str, Any] = {
        "name": "spring",
        "recipients": LIST,
        "from": "news@example.com",
        "subject": "News",
        "templates": {"text": TEXT},
        "smtp": {"host": "localhost"},
        **changes,
    }
    values = {key: value for key, value in values.items() if value is not None}
    path = folder / file
    path.write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), "utf-8")
    return path
