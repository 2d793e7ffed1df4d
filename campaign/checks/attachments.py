"""An attachment of a kind that receivers refuse, whatever it holds, or whose name hides its kind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from campaign.checks.checked import Checked
from campaign.errors import Problem

# support.google.com, "File types blocked in Gmail".
_REFUSED = {
    ".ade", ".adp", ".apk", ".bat", ".cab", ".chm", ".cmd", ".com", ".cpl", ".dll", ".exe", ".hta", ".iso",
    ".jar", ".js", ".jse", ".lnk", ".mde", ".msi", ".msp", ".pif", ".ps1", ".scr", ".vb", ".vbe", ".vbs",
    ".wsf",
}  # fmt: skip
_KIND = re.compile(r"\.[a-z0-9]{1,5}")
_ONE = re.compile(r"\{\{[^}]*\}\}")  # an expression alone, which may give the whole name


def check(checked: Checked) -> Iterator[Problem]:
    """Yield a warning for each such file."""
    for number, attachment in enumerate(checked.campaign.attachments):
        path, name = (
            PurePosixPath(text.rstrip()).suffix.lower() for text in (attachment.path, attachment.name or "")
        )
        suffix = name or path
        if suffix in _REFUSED:
            yield checked.warn(
                f"attachments.{number}", f"many receivers refuse {suffix} files; send a link to it"
            )
        elif (
            attachment.name and _KIND.fullmatch(path) and name != path and not _ONE.fullmatch(attachment.name)
        ):
            yield checked.warn(
                f"attachments.{number}.name",
                f"the name does not end in {path} as the file's does; programs go by it",
            )
