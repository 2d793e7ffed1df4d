"""A file with a password, a secret or a private key is readable or writable for others on this machine.

`ssh` refuses such keys. Only your own files are looked at, and with root's rights all: you cannot change the
mode of others' files, and a group may be how you read them. Windows has no such modes.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from campaign.campaignfile.models import CampaignFile
from campaign.checks.checked import Surveyed
from campaign.checks.found import Found
from campaign.checks.rule import Rule
from campaign.errors import Problem
from campaign.wording import shown

_OF_OTHERS = stat.S_IRGRP | stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH


class Check(Rule):
    """See the module."""

    def report(self, surveyed: Surveyed, found: Found) -> Iterator[Problem]:
        """Yield a warning for each such file."""
        if os.name != "posix":
            return
        for path, file in _secrets(surveyed.campaign):
            mode = _mode_for_others(file)
            if mode is not None:
                what = f"others on this machine can use {shown(file)} (mode {mode:o})"
                write = f"chmod 600 {shlex.quote(shown(file))}"
                yield self.at(surveyed.campaign.problem(path, ""), f"{what}; run: {write}")


def _secrets(campaign: CampaignFile) -> Iterator[tuple[str, Path]]:
    """Yield the files that hold secrets, with the keys of the campaign file that name them."""
    files = {"smtp.password_file": campaign.smtp.password_file, "smtp.client_key": campaign.smtp.client_key}
    if campaign.dkim is not None:
        files["dkim.key_file"] = campaign.dkim.key_file
    if campaign.unsubscribe is not None:
        files["unsubscribe.secret_file"] = campaign.unsubscribe.secret_file
    if campaign.bounces.imap is not None:
        files["bounces.imap.password_file"] = campaign.bounces.imap.password_file
    yield from ((path, file) for path, file in files.items() if file is not None)


def _mode_for_others(file: Path) -> int | None:
    """Return the mode of a regular file that its owner has opened to others; None for any other file."""
    try:
        status = file.stat()
    except OSError:  # reported where it is read
        return None
    if not stat.S_ISREG(status.st_mode) or os.geteuid() not in (0, status.st_uid):
        return None
    return stat.S_IMODE(status.st_mode) if status.st_mode & _OF_OTHERS else None
