"""The kinds of single values in a campaign file: how they are read, and their JSON Schema.

Each reader takes a plain YAML value and raises ValueError with a sentence; one that begins with
"expected" is completed with what stands there. Paths are resolved against the folder of the file
that names them (the validation context's `folder`).
"""

from __future__ import annotations

import os.path
import re
import shlex
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, Strict, ValidationInfo, WithJsonSchema

from campaign.campaignfile.rates import parse_window
from campaign.model import Window
from campaign.wording import shown

_TEXT = {"type": "string"}
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def absent(written: str, path: Path) -> str:
    """Say that there is no file at `path`, which the campaign file calls `written`.

    Where the person does not stand in the campaign's folder, it is named from where they stand.
    """
    plain = os.path.normpath(path) == os.path.normpath(Path.cwd() / written)
    return f"there is no file {written!r}" + ("" if plain else f" (looked for {shown(path)})")


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder that can be seen."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _file(value: object, info: ValidationInfo) -> Path:
    """Resolve the path of a file that must be there."""
    path = _resolve(value, info)
    if is_folder(path):
        raise ValueError(f"{value!r} is a folder, and a file is expected")
    try:
        if not path.exists():
            raise ValueError(absent(str(value), path))
    except OSError as error:
        raise ValueError(f"{str(value)[:60]!r} cannot be read: {error.strerror}") from None
    return path


def _folder(value: object, info: ValidationInfo) -> Path:
    path = _resolve(value, info)
    if not is_folder(path):
        raise ValueError(f"there is no folder {str(value)[:60]!r}")
    return path


def _resolve(value: object, info: ValidationInfo) -> Path:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("expected a path")
    folder: Path = info.context["folder"] if info.context else Path.cwd()
    try:
        return folder / Path(value).expanduser()
    except RuntimeError:  # ~name of nobody
        raise ValueError(f"there is no home folder {value.partition('/')[0]!r}") from None


def _texts(value: object) -> object:
    """One text stands for a list of one; a list becomes a tuple."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list):
        raise ValueError("expected text, or a list of texts")
    return tuple(value)


def _command(value: object) -> object:
    if not isinstance(value, str):
        return _texts(value)
    try:
        return tuple(shlex.split(value))
    except ValueError:
        raise ValueError("a quote in the command is not closed") from None


def _windows(value: object) -> object:
    if not isinstance(value, str | list):
        raise ValueError("expected a rate such as 14/second, or a list of rates")
    return _texts(value)


def _window(value: object) -> Window:
    if not isinstance(value, str):
        raise ValueError("expected a rate such as 14/second")
    return parse_window(value)


def _seconds(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9:
        return float(value)
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]+)?)\s*([smhd]?)", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("expected a duration such as 60s, 5m, 1h or 2d")
    return float(match[1]) * _UNITS[match[2]]


def _share(value: object) -> object:
    if value is None:
        return None
    match = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]+)?)\s*%", value) if isinstance(value, str) else None
    if match is None or not 0 < float(match[1]) <= 100:
        raise ValueError("expected a share such as 20%")
    return float(match[1]) / 100


def _auto(value: object) -> bool:
    # YAML 1.1 reads an unquoted `off` as false.
    if value in ("auto", "off") or value is False:
        return value == "auto"
    raise ValueError("expected auto or off")


def _delimiter(value: object) -> object:
    if value == "tab" or value == "\\t":
        return "\t"
    if value is not None and (not isinstance(value, str) or len(value) != 1 or value in '"\r\n'):
        raise ValueError('expected one character in quotes, such as ",", or tab')
    return value


Whole = Annotated[int, Strict()]
Flag = Annotated[bool, Strict()]
ExistingFile = Annotated[Path, BeforeValidator(_file), WithJsonSchema(_TEXT)]
ExistingFolder = Annotated[Path, BeforeValidator(_folder), WithJsonSchema(_TEXT)]
AnyPath = Annotated[Path, BeforeValidator(_resolve), WithJsonSchema(_TEXT)]
_TEXT_OR_TEXTS: dict[str, Any] = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}
Texts = Annotated[tuple[str, ...], BeforeValidator(_texts), WithJsonSchema(_TEXT_OR_TEXTS)]
Command = Annotated[
    tuple[str, ...], BeforeValidator(_command), Field(min_length=1), WithJsonSchema(_TEXT_OR_TEXTS)
]
_RATE = {"type": "string", "pattern": r"^\s*[0-9]+\s*/\s*(second|minute|hour|day)\s*$"}
Windows = Annotated[
    tuple[Annotated[Window, BeforeValidator(_window)], ...],
    BeforeValidator(_windows),
    WithJsonSchema({"anyOf": [_RATE, {"type": "array", "items": _RATE}]}),
]
_DURATION = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^[0-9.]+\s*[smhd]?$"}]}
Seconds = Annotated[float, BeforeValidator(_seconds), WithJsonSchema(_DURATION)]
_PERCENT = {"anyOf": [{"type": "string", "pattern": "^[0-9.]+ *%$"}, {"type": "null"}]}
Share = Annotated[float | None, BeforeValidator(_share), WithJsonSchema(_PERCENT)]
Auto = Annotated[bool, BeforeValidator(_auto), WithJsonSchema({"enum": ["auto", "off", False]})]
Delimiter = Annotated[str | None, BeforeValidator(_delimiter)]
