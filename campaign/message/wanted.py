"""What is wanted of a row where templates run: its draft, or only to look at the message."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Protocol, TypeAlias

from campaign.message.content import Content
from campaign.model import Recipient
from campaign.templating.processes.frames import Plain


class Wanted(IntEnum):
    """What is wanted of a row."""

    DRAFT = 0
    WITH_IMAGES = 1  # a draft, with all images, those too that were given before
    PARTS = 2  # text and HTML, not encoded
    MEASURE = 3  # what `Looked` holds, and no octets: the message is made, and stays there
    LOOK = 4  # the same, and the message is looked at


KEEP = 8
"""Added to `MEASURE` or `LOOK`: the draft is wanted too, to be kept."""


Look: TypeAlias = Callable[[Recipient, Sequence[bytes]], Plain]
"""Looks at a row's message, in its chunks without attachments → what it found, as plain data."""


class Looking(Protocol):
    """What is to be looked for in messages; it is pickled into each worker, and holds no secret."""

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules that it needs."""

    def open(self, content: Content, html: Mapping[str, str], sources: Mapping[str, str]) -> Look:
        """Get ready; `html` are the sources that HTML is made from, `sources` those of every template."""
