"""Drafts the next messages while earlier ones are being sent, so that sending threads do not wait.

    Dispatch.upcoming → a worker drafts the next few → `render`: Date, header, MIME, signature

A draft that was made moments ago, when the whole list was checked, is reused. A draft older than FRESH is
made again, so only as many rows are drafted ahead as leave in a fraction of FRESH. A row that exceeded
its limits is drafted alone when it is asked for again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from campaign import clock
from campaign.delivery import Message
from campaign.errors import Overrun, UserError
from campaign.message.drafts import Draft, DraftStream
from campaign.message.draftstore import DraftStore
from campaign.message.render import Renderer
from campaign.model import SECOND, Recipient

FRESH = 60 * SECOND
"""Nanoseconds after which a draft or message that has not left is made again."""

# The most rows that are drafted ahead, and octets: asking for many at once is cheaper. For a moment there
# may be twice as many.
_AHEAD, _OCTETS_AHEAD = 64, 4_000_000
_CLOSE_WAIT = 1.0  # seconds that the end of a run waits for a draft


class Ahead:
    """Renders rows (`Renders`) while a worker drafts the next ones. May be shared by threads.

    `kept` are drafts that were made earlier.
    """

    def __init__(self, renderer: Renderer, kept: DraftStore | None = None) -> None:
        self._renderer = renderer
        self._kept = kept
        self._upcoming: Callable[[int], list[Recipient]] = lambda most: []
        self._lock = threading.Lock()
        self._stream: DraftStream | None = None
        self._asked: dict[str, tuple[Recipient, int]] = {}  # by key, and when
        self._made: dict[str, Draft | UserError] = {}
        self._most = 1
        self._overrun = ""  # the key of the last row that exceeded its limits

    def follow(self, upcoming: Callable[[int], list[Recipient]]) -> None:
        """Use `upcoming(most)` to learn the next rows."""
        self._upcoming = upcoming

    def render(self, recipient: Recipient, *, date: datetime) -> Message:
        """Return the message for one row. Raises UserError with what is wrong, naming the row."""
        with self._lock:
            draft = self._draft(recipient)
        if draft is None:
            return self._renderer.render(recipient, date=date)
        return self._renderer.message(recipient, draft, date)

    def close(self) -> None:
        """Give the worker back."""
        if self._lock.acquire(timeout=_CLOSE_WAIT):
            self._forget()
            self._lock.release()

    def _draft(self, recipient: Recipient) -> Draft | UserError | None:
        """Return the row's draft, or None if it must be made alone."""
        key = recipient.key
        if key not in self._asked and (draft := self._kept_of(recipient)) is not None:
            return draft
        if key == self._overrun:
            self._overrun = ""
            return None
        try:
            self._ask(recipient)
            while key not in self._made and self._stream is not None:
                one, made = self._stream.next()
                if self._asked.get(one.key, (None, 0))[0] is one:
                    self._made[one.key] = made
        except BaseException:  # the worker cannot be replaced: start the next row with a new one
            self._forget()
            raise
        made, (_, since) = self._made.pop(key), self._asked.pop(key)
        age = clock.steady() - since
        if age <= FRESH // 4:  # with twice as many ahead, drafts would still be fresh
            self._most = min(2 * self._most, _AHEAD, max(1, _OCTETS_AHEAD // _size(made)))
        elif age > FRESH:
            self._most = 1
        if isinstance(made, Overrun):
            self._overrun = key
        return made if age <= FRESH else None

    def _kept_of(self, recipient: Recipient) -> Draft | None:
        if self._kept is None:
            return None
        return self._renderer.kept(recipient, self._kept, clock.steady() - FRESH)

    def _ask(self, recipient: Recipient) -> None:
        """Ask for a row's draft, and for the next ones if few are ahead."""
        asked, _ = self._asked.get(recipient.key, (None, 0))
        if asked is not recipient:  # not asked for, or with earlier values
            self._made.pop(recipient.key, None)
            batch = [recipient]
        else:
            batch = []
        if batch or len(self._asked) <= self._most // 2:
            next_ones = [one for one in self._upcoming(self._most) if one.key not in self._asked]
            batch += [one for one in next_ones if one.key != recipient.key]
        if batch:
            if self._stream is None:
                self._stream = self._renderer.stream()
            now = clock.steady()
            self._asked.update((one.key, (one, now)) for one in batch)
            self._stream.submit(batch)

    def _forget(self) -> None:
        stream, self._stream = self._stream, None
        self._asked.clear()
        self._made.clear()
        if stream is not None:
            stream.close()


def _size(made: Draft | UserError) -> int:
    """Return the approximate size of a draft in octets."""
    if isinstance(made, UserError):
        return 1
    return 1 + len(made.text or b"") + len(made.html or b"")
