"""The base classes of all models of the campaign file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from campaign.campaignfile.secret import SecretSource
from campaign.campaignfile.yamlmarks import Places


class Model(BaseModel):
    """A model that refuses unknown keys."""

    # Deferred: a model that is part of another one is then built only once, within that.
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        populate_by_name=False,
        arbitrary_types_allowed=True,
        defer_build=True,
    )


def about(text: str, **more: Any) -> Any:
    """Return a field with its description in the JSON Schema."""
    return Field(description=text, **more)


def left_out(text: str) -> Any:
    """Return a field for an optional part, which has its own defaults.

    These come from {}, validated with the rest of the file: validated separately, the part's model would
    be built a second time.
    """
    return about(text, default_factory=dict, validate_default=True)


class WithSecret(Model):
    """A part that names the source of a secret; a command runs in the folder of the part's file."""

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
