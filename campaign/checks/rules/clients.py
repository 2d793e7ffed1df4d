"""HTML and CSS that popular mail programs do not support, with the programs and the lines.

The data is from caniemail.com, by Rémi Parmentier and many testers, under the MIT licence; the part that we
use is in `caniemail.json` beside this file, with the licence. A program is named if the latest version that
was tested does not support a feature; the feature's page is caniemail.com/features/ followed by its name.
Only features that can break a layout or hide something are reported: not rounded corners, shadows or web
fonts, which nobody misses, and nothing under `@media` or `@supports`, or in comments for Outlook. A note,
since there may be a fallback.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path

import tinycss2
from tinycss2.ast import AtRule, QualifiedRule

from campaign.checks.checked import Surveyed
from campaign.checks.finding import Finding
from campaign.checks.found import Found
from campaign.checks.page import Tag
from campaign.checks.rule import Rule
from campaign.checks.seen import Seen
from campaign.errors import Problem, Severity
from campaign.message.html.stylesheet import is_shallow
from campaign.model import Recipient

DATA = Path(__file__).with_name("caniemail.json")
_MOST_LINES = 5
_TAG_NAME = re.compile("<([a-z]+)")


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature, where to look for it (`declaration`, `sheet` or `tag`), and the programs that lack it."""

    name: str
    title: str
    kind: str
    pattern: re.Pattern[str]
    clients: tuple[str, ...]


class Check(Rule):
    """Reports HTML and CSS that popular mail programs do not support."""

    most = 1000  # features

    def see(self, recipient: Recipient, message: Seen) -> Iterator[Finding]:
        page = message.page
        if page is None:
            return
        for name in {*_of_styles(page.styles), *chain.from_iterable(map(_of_tag, page.tags))}:
            yield self.find(Problem(""), name)

    def report(self, surveyed: Surveyed, found: Found) -> Iterator[Problem]:
        """Yield a note for each feature."""
        # Only now, because reading the features takes a while.
        for name, feature in features().items() if found.by_key else ():
            kept = found.by_key.get(name)
            if kept is not None:
                rows = kept.ranges.rows
                places = list(dict.fromkeys(self._places(feature)))
                place = places[0] if places else self.checked.sources.template("html", "mjml", "markdown")
                lines = [str(other.line) for other in places[1:_MOST_LINES] if other.file == place.file]
                lines += ["…"] if len(places) > _MOST_LINES else []
                also = f"; also in line {', '.join(lines)}" if lines else ""
                few = "" if rows.count == surveyed.survey.messages else f" ({rows})"
                what = f"{feature.title} is not supported by {', '.join(feature.clients)}{also}{few}"
                yield replace(self.at(place, what, Severity.NOTE), rows=rows)

    def _places(self, feature: Feature) -> Iterator[Problem]:
        for name, source in self.checked.sources.html.items():
            for found in feature.pattern.finditer(source):
                yield self.checked.sources.at(name, found.start())


@cache
def features() -> Mapping[str, Feature]:
    """Return the features to look for, by their names at caniemail.com."""
    read = json.loads(DATA.read_text("utf-8"))["features"]
    return {
        name: Feature(
            name, one["title"], one["in"], re.compile(one["pattern"], re.IGNORECASE), tuple(one["clients"])
        )
        for name, one in read.items()
    }


@cache
def _tag_features() -> Mapping[str, list[Feature]]:
    """Return the features that are tags or attributes, by the name of the tag."""
    found: dict[str, list[Feature]] = {}
    for feature in features().values():
        if feature.kind == "tag":
            name = _TAG_NAME.match(feature.pattern.pattern)
            assert name is not None  # noqa: S101
            found.setdefault(name[1], []).append(feature)
    return found


# Attributes with a row's values make different tags; styles rarely contain any.
@lru_cache(maxsize=4096)
def _of_tag(tag: Tag) -> tuple[str, ...]:
    named = _tag_features().get(tag.name, ())
    found = [feature.name for feature in named if feature.pattern.match(tag.written)]
    return (*found, *(_of_style(tag.style) if tag.style else ()))


@lru_cache(maxsize=4096)
def _of_style(style: str) -> tuple[str, ...]:
    return tuple(
        feature.name
        for feature in features().values()
        if feature.kind == "declaration" and feature.pattern.search(style)
    )


@lru_cache(maxsize=64)
def _of_styles(styles: tuple[str, ...]) -> tuple[str, ...]:
    """Return the features that style elements use, except under a condition."""
    sheet = "".join(
        tinycss2.serialize([node])
        for style in filter(is_shallow, styles)
        for node in tinycss2.parse_stylesheet(style, skip_comments=True, skip_whitespace=True)
        if isinstance(node, QualifiedRule)
        or (isinstance(node, AtRule) and node.lower_at_keyword in ("import", "supports"))
    )
    return tuple(
        feature.name
        for feature in features().values()
        if feature.kind != "tag" and feature.pattern.search(sheet)
    )
