"""Convert single YAML values to the program's types.

Each function raises ValueError with a message; if it begins with "expected", the caller adds the value that
was found. Paths are resolved against `folder`, the folder of the file that names them. `values` makes the
models' types from these functions; `identity` uses them directly, without pydantic.
"""

from __future__ import annotations

import os.path
import re
import shlex
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from campaign.campaignfile.rates import parse_window
from campaign.campaignfile.spelling import similar
from campaign.model import Window
from campaign.wording import shown, size

MAX_NAME = 100  # characters of a campaign's name

_FILE_NAME = re.compile(r".*\.\w{1,9}")
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def composed(name: str) -> str:
    """Return a column's name in composed form (NFC), as the list's names are stored."""
    return unicodedata.normalize("NFC", name)


def unfit_name(name: object) -> Iterator[str]:
    """Yield the problems of a campaign's name other than type and length."""
    if isinstance(name, str) and not name.isprintable():
        yield "has characters that cannot be printed"
    if isinstance(name, str) and name and not name.strip():
        yield "is blank"


def is_template(text: str) -> bool:
    """Whether `text` contains Jinja2 syntax."""
    return "{{" in text or "{%" in text or "{#" in text


def absent(written: str, path: Path) -> str:
    """Return the message that there is no file at `path`, which the campaign file calls `written`.

    If the working directory is not the campaign's folder, it also has the path from there. A text instead
    of a path is not repeated: it may be a key.
    """
    spaced = " " in written.strip() and not _FILE_NAME.fullmatch(written)
    if is_template(written) or "\n" in written or spaced:
        return "must be the path of a file, and this is text; put the text into a file and give its path here"
    if not written.isprintable():
        return (
            f"{written!r} is no file; in double quotes a backslash begins an escape: write / in place of it"
        )
    plain = os.path.normpath(path) == os.path.normpath(Path.cwd() / written)
    return f"there is no file {written!r}" + ("" if plain else f" (looked for {shown(path)})")


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder, as far as we have permission to see."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def is_file(path: Path) -> bool:
    """Whether there is something to read at `path`: a file, a pipe or a device."""
    try:
        return path.exists() and not path.is_dir()
    except (OSError, ValueError):
        return False


def existing_file(value: object, folder: Path, most: int) -> Path:
    """Resolve the path of a file that must exist, and have at most `most` octets."""
    path = resolve(value, folder)
    if is_folder(path):
        raise ValueError(f"{value!r} is a folder; a file is expected")
    try:
        if not path.exists():
            what = absent(str(value), path)
            raise ValueError(what + (similar(path) if what.startswith("there is no file") else ""))
        if not path.is_file():
            raise ValueError(f"{value!r} is a pipe or a device; a file is expected")
        if path.stat().st_size > most:
            what = f"{value!r} has {size(path.stat().st_size)}, and at most {size(most)} are read here"
            raise ValueError(what)
    except OSError as error:
        raise ValueError(f"{str(value)[:60]!r} cannot be read: {error.strerror}") from None
    return path


def existing_folder(value: object, folder: Path) -> Path:
    """Resolve the path of a folder that must exist."""
    path = resolve(value, folder)
    if not is_folder(path):
        raise ValueError(f"there is no folder {str(value)[:60]!r}")
    return path


def resolve(value: object, folder: Path) -> Path:
    """Return the path that `value` names from `folder`, whether it exists or not."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("expected a path")
    try:
        return folder / Path(value).expanduser()
    except RuntimeError:  # ~name of a user who does not exist
        raise ValueError(f"there is no home folder {value.partition('/')[0]!r}") from None


def texts(value: object) -> object:
    """Return a tuple of texts, from one text or a list."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list):
        raise ValueError("expected text, or a list of texts")
    return tuple(value)


def command(value: object) -> object:
    """Return the words of a command: a text is split as a shell does, a list stays as it is."""
    if not isinstance(value, str):
        return texts(value)
    try:
        return tuple(shlex.split(value))
    except ValueError:
        raise ValueError("a quote in the command is not closed") from None


def windows(value: object) -> object:
    """Return the texts of one rate or several; `window` parses each."""
    if not isinstance(value, str | list):
        raise ValueError("expected a rate such as 14/second, or a list of rates")
    return texts(value)


def window(value: object) -> Window:
    """Parse one rate."""
    if not isinstance(value, str):
        raise ValueError("expected a rate such as 14/second")
    return parse_window(value)


def seconds(value: object) -> float:
    """Return the seconds of a duration, such as 5m; a plain number is in seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9:
        return float(value)
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]+)?)\s*([smhd]?)", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("expected a duration such as 60s, 5m, 1h or 2d")
    return float(match[1]) * _UNITS[match[2]]


def soft(value: object) -> tuple[int, float]:
    """Parse `3 in 30d`: the number of campaigns with a soft bounce, and the time in seconds."""
    match = (
        re.fullmatch(r"\s*([0-9]{1,3})\s+in\s+([0-9]{1,4}\s*[smhd])\s*", value)
        if isinstance(value, str)
        else None
    )
    if match is None or int(match[1]) == 0:
        raise ValueError("expected a number of campaigns and a time, such as 3 in 30d")
    return int(match[1]), seconds(match[2])


def share(value: object) -> object:
    """Parse a percentage as a fraction of 1; None stays None."""
    if value is None:
        return None
    match = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]+)?)\s*%", value) if isinstance(value, str) else None
    if match is None or not 0 < float(match[1]) <= 100:
        raise ValueError("expected a share such as 20%")
    return float(match[1]) / 100


def auto(value: object) -> bool:
    """Parse `auto` as true and `off` as false."""
    # YAML 1.1 reads an unquoted `off` as false.
    if value in ("auto", "off") or value is False:
        return value == "auto"
    raise ValueError("expected auto or off")


def delimiter(value: object) -> object:
    """Return the character between cells; `tab` is spelled out."""
    if value == "tab" or value == "\\t":
        return "\t"
    if value is not None and (not isinstance(value, str) or len(value) != 1 or value in '"\r\n'):
        raise ValueError('expected one character in quotes, such as ",", or tab')
    return value
