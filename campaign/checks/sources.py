"""Find the place in the templates that a text in a message comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from html import escape, unescape

from campaign.errors import Problem
from campaign.message.content import Content
from campaign.wording import shown

_TAG = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
# An attribute value, or a word of a text, that contains a tag.
_HOLDS_TAG = re.compile(
    r""""(?:[^"{]|\{(?![{%])|\{\{.*?\}\}|\{%.*?%\})*"|(?:[^\s"'<>{]|\{(?![{%])|\{\{.*?\}\})+""", re.DOTALL
)


class Sources:
    """The sources of a campaign's templates, with their files.

    `html` are the sources that HTML is made from.
    """

    def __init__(self, content: Content, html: Mapping[str, str], sources: Mapping[str, str]) -> None:
        self._content = content
        self.html = dict(html)
        self.all = {**self.html, **sources}
        self._patterns: list[tuple[re.Pattern[str], str, int]] | None = None
        self.place = lru_cache(maxsize=1024)(self._place)

    def at(self, name: str, offset: int) -> Problem:
        """Return a problem with an empty message at an offset in a source."""
        return self._in(name, self.all[name].count("\n", 0, offset) + 1)

    def template(self, *kinds: str) -> Problem:
        """Return a problem with an empty message at the first template of these kinds, such as `html`."""
        for kind in kinds:
            file = self._content.files.get(f"templates.{kind}")
            if file is not None:
                return Problem("", shown(file))
        return self._content.problem("templates", "")

    def _place(self, written: str) -> Problem | None:
        """Return a problem with an empty message at the source of the text `written`, if it is found."""
        forms = dict.fromkeys((written, unescape(written), escape(written, quote=False)))
        for name, source in self.all.items():
            for form in forms:
                offset = source.find(form)
                if offset >= 0:
                    return self.at(name, offset)
        if self._patterns is None:
            self._patterns = list(self._with_tags())
        for pattern, name, offset in self._patterns:
            if any(pattern.fullmatch(form) for form in forms):
                return self.at(name, offset)
        return None

    def _with_tags(self) -> Iterator[tuple[re.Pattern[str], str, int]]:
        for name, source in self.all.items():
            for match in _HOLDS_TAG.finditer(source) if "{{" in source else ():
                literal = _TAG.sub("\0", match[0].strip('"'))
                # A source that consists almost only of tags would match anything.
                if "\0" in literal and len(literal.replace("\0", "").strip()) > 3:
                    pattern = ".*".join(map(re.escape, literal.split("\0")))
                    yield re.compile(pattern, re.DOTALL), name, match.start()

    def _in(self, name: str, line: int) -> Problem:
        path = self._content.folder / name
        return Problem("", shown(path), line) if path.is_file() else self._content.problem(name, "")
