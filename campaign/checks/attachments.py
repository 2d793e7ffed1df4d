"""An attachment of a kind that receivers refuse, whatever it holds."""

from __future__ import annotations

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


def check(checked: Checked) -> Iterator[Problem]:
    """Yield a warning for each such file."""
    for number, attachment in enumerate(checked.campaign.attachments):
        suffix = PurePosixPath(attachment.name or attachment.path).suffix.lower()
        if suffix in _REFUSED:
            yield checked.warn(
                f"attachments.{number}", f"many receivers refuse {suffix} files; send a link to it"
            )
