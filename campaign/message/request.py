"""What to do with a row in a template process: draft it, or only check its message."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Protocol, TypeAlias

from campaign.message.content import Content
from campaign.model import Recipient
from campaign.templating.processes.frames import Plain


class Request(IntEnum):
    """What to do with a row."""

    DRAFT = 0
    WITH_IMAGES = 1  # a draft with all its images, also those sent before
    PARTS = 2  # text and HTML, not encoded
    MEASURE = 3  # make the message, and return only what `Looked` holds
    LOOK = 4  # the same, and look at the message


KEEP = 8
"""Added to `MEASURE` or `LOOK`: also return the draft, to be kept."""


Look: TypeAlias = Callable[[Recipient, Sequence[bytes]], Plain]
"""Takes a row and the chunks of its message without attachments; returns its findings as plain data."""


class Looking(Protocol):
    """What to look for in messages. It is pickled into each worker, and holds no secret."""

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules that it needs."""

    def open(self, content: Content, html: Mapping[str, str], sources: Mapping[str, str]) -> Look:
        """Return the function that looks; `html`: the sources of HTML, `sources`: those of all templates."""
