"""Reads rows' own attachments that are too large to travel from a folder that machines share.

The folder may be missing or not mounted, when a worker starts or at any time later. Then no row is at
fault.
"""

from __future__ import annotations

import hashlib
import os.path
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from campaign.campaignfile.octets import MOST_OF_AN_ATTACHMENT, read_file
from campaign.delivery import Message
from campaign.errors import Unequipped, UserError
from campaign.message.render import Renderer
from campaign.model import Recipient
from campaign.sending.work import Renders
from campaign.sending.workers.accounts import Account
from campaign.sending.workers.bundle import Bundle, refused, too_large


class SharedFolder:
    """An account's `attachments_root`, and the SHA-256 of the files in it that a bundle names.

    Raises UserError if the account has none, or none of the files is there.
    """

    def __init__(self, bundle: Bundle, account: Account) -> None:
        if account.attachments_root is None:
            what = f"{too_large(bundle)}; the account {account.name!r} has no attachments_root"
            raise refused(bundle, what)
        self.root: Path = account.attachments_root
        self.attached = bundle.attached
        what = f"none of its rows' own attachments is in {self.root}, attachments_root of {account.name!r}"
        self._absent = refused(bundle, f"{what}: is that folder mounted?").problems
        self.refuse_absent()

    def refuse_absent(self) -> None:
        """Raise Unequipped if none of the files is there."""
        if not any(os.path.isfile(self.root / path) for path in self.attached):  # noqa: PTH113  (a stale mount)
            raise Unequipped(*self._absent)


class SharedFiles:
    """Renders messages with attachments from a shared folder, which must not have changed since the plan."""

    def __init__(self, renders: Renders, renderer: Renderer, folder: SharedFolder) -> None:
        self._renders = renders
        self._renderer = renderer
        self._folder = folder
        self._root = folder.root.resolve()

    def render(self, recipient: Recipient, *, date: datetime) -> Message:
        """Return the message for one row. Raises UserError, and Unequipped if the folder is gone."""
        with self._blaming_folder():
            message = self._renders.render(recipient, date=date)
            for path in next(self._renderer.attached([recipient])):
                name = path.relative_to(self._root).as_posix()
                content = read_file(path, MOST_OF_AN_ATTACHMENT)
                if hashlib.sha256(content).hexdigest() != self._folder.attached.get(name):
                    raise UserError(f"{name} is gone, or has changed since the plan was made")
        return message

    @contextmanager
    def _blaming_folder(self) -> Iterator[None]:
        """If the folder is gone, raise Unequipped in place of an error of the row."""
        try:
            yield
        except (UserError, OSError) as error:
            self._folder.refuse_absent()
            if isinstance(error, OSError):
                raise UserError(f"an attachment cannot be read: {error.strerror}") from None
            raise
