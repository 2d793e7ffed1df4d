"""The ready-made campaigns: find them, and copy one into a new folder for `campaign init`."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp

from campaign.errors import UserError

_PACKAGE = Path(__file__).parent
CAMPAIGN = "campaign.yaml"
_LIST = re.compile(r"(\.\./)+sample_lists/([\w.-]+)")


def copy(name: str, target: Path, more: Mapping[str, str]) -> Path:
    """Copy a ready-made campaign and its list into `target`, and return the campaign file.

    `more` maps the names of further files to their texts. The folder is made under a temporary name, and
    renamed when it is complete. If `target` already exists and is empty, such as the working directory,
    the complete files are moved into it one by one, the campaign file last.

    Raises UserError if the folder is not empty, or cannot be written.
    """
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise UserError(f"{target} already exists and is not empty; name a new folder")
        place = Path(os.path.realpath(target))
        there = place.exists()
        place.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(mkdtemp(prefix=".campaign-", dir=place if there else place.parent))
        try:
            made = unfinished / "made"
            _fill(made, name, more)
            if there:
                for file in sorted(made.iterdir(), key=lambda file: file.name == CAMPAIGN):
                    file.rename(place / file.name)
            else:
                made.rename(place)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    except OSError as error:
        raise UserError(
            f"{target} cannot be written: {error.strerror or error}; name another folder"
        ) from None
    return target / CAMPAIGN


def _fill(folder: Path, name: str, more: Mapping[str, str]) -> None:
    shutil.copytree(_folder("templates") / name, folder)
    file = folder / CAMPAIGN
    text = file.read_text("utf-8")
    for _, listed in set(_LIST.findall(text)):
        shutil.copy(_folder("sample_lists") / listed, folder / listed)
    file.write_text(_LIST.sub(r"\2", text), "utf-8")
    for other, content in more.items():
        (folder / other).write_text(content, "utf-8")


def _folder(kind: str) -> Path:
    """Return the folder `templates` or `sample_lists`: in the wheel, or in the source tree if editable."""
    installed = _PACKAGE / "samples" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / kind
