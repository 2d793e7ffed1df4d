"""Attaches the local images of a rendered HTML part, and replaces their addresses by cid: URLs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from html import escape
from urllib.parse import unquote

from campaign.errors import UserError
from campaign.message.files import Folder
from campaign.message.html.markup import value_of
from campaign.message.mime import File, image

# An image's address, with or without quotes. Comments are searched too, because Outlook reads conditional
# ones; the values of other attributes are not. Both cases are written out because re.IGNORECASE makes the
# search for `<` slow.
_BEFORE = r"""[\s/](?:[^>"']|"[^"]*"|'[^']*')*?(?<=[\s/"'])"""
_VALUE = r"""\s*=\s*)("[^"]*"|'[^']*'|[^\s"'>]+)"""
_IMAGE = re.compile(rf"(<(?:[iI][mM][gG]|v:(?:fill|image|imagedata)){_BEFORE}[sS][rR][cC]{_VALUE}")
_BACKGROUND = re.compile(
    rf"(<(?:[tT](?:[dDhHrR]|[aA][bB][lL][eE])|[bB][oO][dD][yY]){_BEFORE}"
    rf"[bB][aA][cC][kK][gG][rR][oO][uU][nN][dD]{_VALUE}"
)
_HAS_BACKGROUND = re.compile(r"background\s*=")
# What a template must contain so that its pages can show an image, or have one as background. Values are
# escaped unless they are marked `safe`; an include with a computed name may contain anything.
_ANYTHING = r"\b(?:safe|autoescape)\b|\{%[-+]?\s*(?:include|extends|import|from)\s+(?![\"'])"
_MAY_SHOW = re.compile(rf"<img|<v:|!\[|{_ANYTHING}", re.IGNORECASE)
_MAY_HAVE_BACKGROUND = re.compile(rf"background(?![\w:-])|{_ANYTHING}", re.IGNORECASE)
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//|#", re.IGNORECASE)
_SHOWN = {".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".bmp", ".ico"}


class ImageError(UserError):
    """An image that cannot be attached; `written` is its address as the HTML has it, with any quotes."""

    def __init__(self, written: str, error: UserError) -> None:
        self.written = written
        super().__init__(*error.problems)


class Images:
    """The local images that HTML parts show. The last 64 stay in memory, encoded."""

    def __init__(self, folder: Folder, domain: str) -> None:
        self._folder = folder
        self._domain = domain
        self._file = lru_cache(maxsize=64)(self._read)

    def attach(
        self, html: str, patterns: Sequence[re.Pattern[str]] = (_IMAGE, _BACKGROUND)
    ) -> tuple[str, list[File]]:
        """Return the HTML with cid addresses, and the files it shows, each once.

        `patterns` are from `patterns_of` its templates. Raises ImageError for a file that is missing,
        outside the folder, or not an image.
        """
        used: dict[str, File] = {}

        def replace(match: re.Match[str]) -> str:
            address = _address(match[2])
            if not is_local(address):
                return match[0]
            try:
                file = self._file(_path(address))
            except UserError as error:
                raise ImageError(match[2], error) from None
            used[file.content_id] = file
            return f'{match[1]}"cid:{escape(file.content_id)}"'

        for pattern in patterns:
            html = pattern.sub(replace, html)
        return html, list(used.values())

    def _read(self, address: str) -> File:
        path = self._folder.find(address)
        if path.suffix.lower() not in _SHOWN:
            endings = ", ".join(sorted(_SHOWN))
            raise UserError(f"{path.name} is not an image: its name ends in none of {endings}")
        content = self._folder.read(path)
        identity = hashlib.sha256(path.name.encode() + b"\0" + content).hexdigest()[:24]
        return image(path.name, content, f"{identity}@{self._domain}")


def patterns_of(sources: Iterable[str]) -> tuple[re.Pattern[str], ...]:
    """Return the patterns to search in pages that are made from these templates."""
    sources = tuple(sources)
    pairs = ((_IMAGE, _MAY_SHOW), (_BACKGROUND, _MAY_HAVE_BACKGROUND))
    return tuple(pattern for pattern, sign in pairs if any(map(sign.search, sources)))


def local_images(sources: Iterable[str]) -> Iterator[str]:
    """Yield the paths of the local images in the sources of HTML templates."""
    for source in sources:
        for pattern in _patterns(source):
            for match in pattern.finditer(source):
                address = _address(match[2])
                if is_local(address) and "{" not in address:
                    yield _path(address)


def _patterns(html: str) -> Iterator[re.Pattern[str]]:
    yield _IMAGE
    if _HAS_BACKGROUND.search(html.lower()):
        yield _BACKGROUND


def is_local(address: str) -> bool:
    """Whether an address is a local file: it has no scheme, no host, and is not blank."""
    return bool(address) and _ELSEWHERE.match(address) is None


def _address(quoted: str) -> str:
    return value_of(quoted.strip("\"'")).strip()


def _path(address: str) -> str:
    return unquote(re.split(r"[?#]", address, maxsplit=1)[0])
