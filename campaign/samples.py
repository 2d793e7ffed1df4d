"""The ready-made campaigns: where they are installed, and how one becomes a person's own folder."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from campaign.errors import UserError

_PACKAGE = Path(__file__).parent
_LIST = re.compile(r"(\.\./)+sample_lists/([\w.-]+)")


def folder(kind: str) -> Path:
    """Return `templates` or `sample_lists`, in the wheel or, installed as editable, in the source tree."""
    installed = _PACKAGE / "samples" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / kind


def names() -> tuple[str, ...]:
    """Return the campaigns that there are."""
    return tuple(sorted(path.parent.name for path in folder("templates").glob("*/campaign.yaml")))


def copy(name: str, target: Path) -> Path:
    """Copy a ready-made campaign and its list into `target`, and return the campaign file.

    Raises UserError where the folder is there and holds anything.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target} is there already and holds something; name a new folder")
    try:
        shutil.copytree(folder("templates") / name, target, dirs_exist_ok=True)
        file = target / "campaign.yaml"
        text = file.read_text("utf-8")
        for _, listed in set(_LIST.findall(text)):
            shutil.copy(folder("sample_lists") / listed, target / listed)
        file.write_text(_LIST.sub(r"\2", text), "utf-8")
    except OSError as error:
        raise UserError(f"{target} cannot be written: {error.strerror or error}") from None
    return file
