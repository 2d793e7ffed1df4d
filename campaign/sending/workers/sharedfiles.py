"""Rows' own attachments where they are too large to travel: in a folder that machines share.

It may be gone, or not mounted, when a worker begins, and at any moment later. Then no row is at fault.
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
    """`attachments_root` of an account, and the SHA-256 of the files in it that a bundle names.

    Raises UserError where the account has none, or none of the files is there.
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
        """Raise Unequipped where none of the files is there."""
        if not any(os.path.isfile(self.root / path) for path in self.attached):  # noqa: PTH113  (a stale mount)
            raise Unequipped(*self._absent)


class SharedFiles:
    """Makes messages whose own attachments are in a shared folder; each must be as when the plan was made."""

    def __init__(self, renders: Renders, renderer: Renderer, folder: SharedFolder) -> None:
        self._renders = renders
        self._renderer = renderer
        self._folder = folder
        self._root = folder.root.resolve()

    def render(self, recipient: Recipient, *, date: datetime) -> Message:
        """Return the message for one row. Raises UserError, and Unequipped where the folder is gone."""
        with self._blamed():
            message = self._renders.render(recipient, date=date)
            for path in next(self._renderer.attached([recipient])):
                name = path.relative_to(self._root).as_posix()
                content = read_file(path, MOST_OF_AN_ATTACHMENT)
                if hashlib.sha256(content).hexdigest() != self._folder.attached.get(name):
                    raise UserError(f"{name} is gone, or has changed since the plan was made")
        return message

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        """Blame the folder where it is gone, and not the row."""
        try:
            yield
        except (UserError, OSError) as error:
            self._folder.refuse_absent()
            if isinstance(error, OSError):
                raise UserError(f"an attachment cannot be read: {error.strerror}") from None
            raise
