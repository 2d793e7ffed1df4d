"""What every part of the campaign file's shape is made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from campaign.campaignfile.secret import SecretSource
from campaign.campaignfile.yamlmarks import Places


class Model(BaseModel):
    """Keys and values; no others are known."""

    # Built when it first reads values: a part of another is then built once, within that.
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        populate_by_name=False,
        arbitrary_types_allowed=True,
        defer_build=True,
    )


def about(text: str, **more: Any) -> Any:
    """Return a field with the sentence that the JSON Schema has of it."""
    return Field(description=text, **more)


def left_out(text: str) -> Any:
    """Return a field for a part that may be left out: its own defaults stand for it.

    They are made of {} with the rest of the file. Made alone, the part's model would be built alone too.
    """
    return about(text, default_factory=dict, validate_default=True)


class WithSecret(Model):
    """A part that says where a secret comes from; its command runs in the folder of its file."""

    _folder: Path | None = PrivateAttr(default=None)
    _places: Places | None = PrivateAttr(default=None)

    def model_post_init(self, context: Any, /) -> None:
        self._folder = context["folder"] if context else None

    def _source(
        self, what: str, env: str | None, command: tuple[str, ...] | None, file: Path | None
    ) -> SecretSource | None:
        if not (env or command or file):
            return None
        source = SecretSource(what, env, command, file, self._folder)
        if self._places is None:
            return source
        return replace(source, place=self._places.problem(source.key, ""))
