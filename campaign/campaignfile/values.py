"""The types of values in a campaign file, each with its reader and its JSON Schema.

Paths are resolved against the validation context's `folder`, or the working directory without one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    Strict,
    ValidationInfo,
    WithJsonSchema,
)

from campaign.campaignfile import readers, rulenames
from campaign.campaignfile.location import Location, read_location
from campaign.campaignfile.octets import MOST_OF_A_KEY, MOST_OF_A_LIST, MOST_OF_A_TEMPLATE
from campaign.model import Window

_TEXT = {"type": "string"}


def _folder_of(info: ValidationInfo) -> Path:
    folder: Path = info.context["folder"] if info.context else Path.cwd()
    return folder


def _file_of(most: int) -> BeforeValidator:
    def read(value: object, info: ValidationInfo) -> Path:
        return readers.existing_file(value, _folder_of(info), most)

    return BeforeValidator(read)


def _folder(value: object, info: ValidationInfo) -> Path:
    return readers.existing_folder(value, _folder_of(info))


def _path(value: object, info: ValidationInfo) -> Path:
    return readers.resolve(value, _folder_of(info))


def _location(value: object, info: ValidationInfo) -> Location:
    return read_location(value, _folder_of(info))


Whole = Annotated[int, Strict()]
Flag = Annotated[bool, Strict()]
ListFile = Annotated[Path, _file_of(MOST_OF_A_LIST), WithJsonSchema(_TEXT)]
TemplateFile = Annotated[Path, _file_of(MOST_OF_A_TEMPLATE), WithJsonSchema(_TEXT)]
KeyFile = Annotated[Path, _file_of(MOST_OF_A_KEY), WithJsonSchema(_TEXT)]
ExistingFolder = Annotated[Path, BeforeValidator(_folder), WithJsonSchema(_TEXT)]
AnyPath = Annotated[Path, BeforeValidator(_path), WithJsonSchema(_TEXT)]
_DATABASE = {
    "type": "object",
    "properties": {"postgresql_env": _TEXT},
    "required": ["postgresql_env"],
    "additionalProperties": False,
}
LedgerLocation = Annotated[Location, PlainValidator(_location), WithJsonSchema({"anyOf": [_TEXT, _DATABASE]})]
_TEXT_OR_TEXTS: dict[str, Any] = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}
Texts = Annotated[tuple[str, ...], BeforeValidator(readers.texts), WithJsonSchema(_TEXT_OR_TEXTS)]
# In composed form, like the names of the list's columns.
Column = Annotated[str, AfterValidator(readers.composed)]
Columns = Annotated[Texts, AfterValidator(lambda names: tuple(map(readers.composed, names)))]
Command = Annotated[
    tuple[str, ...], BeforeValidator(readers.command), Field(min_length=1), WithJsonSchema(_TEXT_OR_TEXTS)
]
_RATE = {"type": "string", "pattern": r"^\s*[0-9]+\s*/\s*(second|minute|hour|day)\s*$"}
Windows = Annotated[
    tuple[Annotated[Window, BeforeValidator(readers.window)], ...],
    BeforeValidator(readers.windows),
    WithJsonSchema({"anyOf": [_RATE, {"type": "array", "items": _RATE}]}),
]
_DURATION = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^[0-9.]+\s*[smhd]?$"}]}
Seconds = Annotated[float, BeforeValidator(readers.seconds), WithJsonSchema(_DURATION)]
Soft = Annotated[
    tuple[int, float],
    BeforeValidator(readers.soft),
    WithJsonSchema({"type": "string", "pattern": r"^\s*[0-9]+\s+in\s+[0-9]+\s*[smhd]\s*$"}),
]
_PERCENT = {"anyOf": [{"type": "string", "pattern": "^[0-9.]+ *%$"}, {"type": "null"}]}
Share = Annotated[float | None, BeforeValidator(readers.share), WithJsonSchema(_PERCENT)]
Auto = Annotated[bool, BeforeValidator(readers.auto), WithJsonSchema({"enum": ["auto", "off", False]})]
Delimiter = Annotated[str | None, BeforeValidator(readers.delimiter)]
_RULE = {"enum": [*rulenames.RULES, *rulenames.OTHERS]}
RuleNames = Annotated[
    tuple[Annotated[str, BeforeValidator(rulenames.rule_name)], ...],
    BeforeValidator(readers.texts),
    WithJsonSchema({"anyOf": [_RULE, {"type": "array", "items": _RULE}]}),
]
