"""Loads templates, only from files in the campaign's folder."""

from __future__ import annotations

import os.path
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from jinja2 import BaseLoader, TemplateNotFound
from jinja2.environment import Environment

from campaign.campaignfile.octets import MOST_OF_A_TEMPLATE, PRIVATE_KEY, is_same_file, read_file
from campaign.campaignfile.spelling import similar

SUFFIXES = frozenset(
    {
        ".j2",
        ".jinja",
        ".jinja2",
        ".txt",
        ".text",
        ".html",
        ".htm",
        ".md",
        ".markdown",
        ".mjml",
        ".css",
        ".ics",
    }
)
"""The endings that a template file must have."""


_RTF = b"{\\rtf"


class FolderLoader(BaseLoader):
    """Template files by their path from the campaign's folder, and no other file.

    Links are resolved first. The file that results must lie inside the folder, have one of SUFFIXES,
    not be hidden, and not be one of the campaign's `private` files (its list, ledger, secrets, keys).
    """

    def __init__(self, folder: Path, private: Collection[Path]) -> None:
        self.folder = folder.resolve()
        self._private = frozenset(Path(os.path.realpath(path)) for path in private)

    def path(self, name: str) -> Path:
        """Return the file of the template `name`. Raises TemplateNotFound with the reason."""
        asked = self.folder / PurePosixPath(name)
        try:
            path = asked.resolve()
            is_file = path.is_file()
        except (OSError, RuntimeError, ValueError):  # a link to itself, a name too long, a NUL in it
            raise TemplateNotFound(name, f"{name[:80]!r} cannot be the name of a file") from None
        if not path.is_relative_to(self.folder):
            why = f"{name} lies outside the campaign's folder; templates are read only inside it"
        elif any(part.startswith(".") for part in path.relative_to(self.folder).parts) or is_same_file(
            path, self._private
        ):
            why = f"{name} is not a template: the list, the ledger, secrets and hidden files are not readable"
        elif path.suffix.lower() not in SUFFIXES:
            why = f"{name} is not a template: its name ends in none of {', '.join(sorted(SUFFIXES))}"
        elif not is_file and path.exists() and not path.is_dir():
            why = f"{name} is a pipe or a device, not a file"
        elif not is_file:
            why = f"there is no file {name} in the campaign's folder, {self.folder}{similar(path, SUFFIXES)}"
        else:
            return path
        raise TemplateNotFound(name, why)

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, None]:
        path = self.path(template)
        try:
            octets = read_file(path, MOST_OF_A_TEMPLATE)
            source = octets.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
        except UnicodeDecodeError:
            why = f"{template} is not UTF-8; save it as UTF-8"
        except OSError as error:
            why = f"{template} cannot be read: {error.strerror}"
        else:
            if octets.startswith(_RTF):
                raise TemplateNotFound(
                    template, f"{template} is RTF, a word processor's; save it as plain text"
                )
            if not PRIVATE_KEY.search(octets):
                return source, str(path), None
            why = f"{template} is not a template: it holds a private key"
        raise TemplateNotFound(template, why)
