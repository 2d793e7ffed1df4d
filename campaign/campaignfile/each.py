"""The models of attachments and copies; a row may have several, by a template that gives a list (`each`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from campaign.campaignfile import readers
from campaign.campaignfile.part import Model, about


class Attachment(Model):
    """An attached file."""

    path: str = about("The file, a template, inside attachments_root.")
    name: str | None = about("The name that recipients see, a template.", default=None)
    each: str | None = about("A template that gives a list: one file for each `item` of it.", default=None)


@dataclass(frozen=True, slots=True)
class Each:
    """A template that gives a list of addresses."""

    source: str


def _attachments(value: object) -> object:
    """Convert a path to the attachment with that path."""
    if not isinstance(value, list):
        return value
    return tuple({"path": item} if isinstance(item, str) else item for item in value)


def _copy(value: object) -> str | Each:
    match value:
        case str():
            return value
        case {"each": str() as source, **others} if not others:
            return Each(source)
        case dict():
            raise ValueError("write an address, or `each` alone, a template that gives several")
        case _:
            raise PydanticCustomError("string_type", "expected text")


def _copies(value: object) -> object:
    return readers.texts([value] if isinstance(value, dict) else value)


def _answers(value: object) -> object:
    """Return a text as it is, and a list as a tuple."""
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return tuple(value)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list):
        raise ValueError("expected one address or several, each of them text")
    raise PydanticCustomError("string_type", "expected text")


_TEXT = {"type": "string"}
_COPY = {
    "anyOf": [
        _TEXT,
        {
            "type": "object",
            "properties": {"each": _TEXT},
            "required": ["each"],
            "additionalProperties": False,
        },
    ]
}
Attachments = Annotated[tuple[Attachment, ...], BeforeValidator(_attachments)]
Copies = Annotated[
    tuple[Annotated[str | Each, PlainValidator(_copy)], ...],
    BeforeValidator(_copies),
    WithJsonSchema({"anyOf": [*_COPY["anyOf"], {"type": "array", "items": _COPY}]}),
]
Answers = Annotated[
    str | tuple[str, ...] | None,
    PlainValidator(_answers),
    WithJsonSchema({"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}, {"type": "null"}]}),
]
