"""A `{#` in CSS begins a Jinja2 comment: the rules up to the next `#}` are missing from the mail.

`@media screen{#top{color:red}}` is an example; with a space, `{ #top`, it is CSS again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from campaign.checks.checked import Surveyed
from campaign.checks.found import Found
from campaign.checks.rule import Rule
from campaign.errors import Problem
from campaign.wording import counted

_SWALLOWED = re.compile(r"\{(#[\w-]+)[\s,.>:\w#-]*\{.*?#\}", re.DOTALL)


class Check(Rule):
    """Reports `{#` in CSS, which begins a Jinja2 comment."""

    def report(self, surveyed: Surveyed, found: Found) -> Iterator[Problem]:
        """Yield a warning for each such comment in a template's styles."""
        for name, source in self.checked.sources.html.items():
            for match in _SWALLOWED.finditer(source):
                start = source.rfind("<style", 0, match.start())
                if name.endswith(".css") or start > source.rfind("</style", 0, match.start()):
                    place = self.checked.sources.at(name, match.start())
                    lines = counted(match[0].count("\n") + 1, "line")
                    what = f"`{{#` begins a Jinja2 comment, which swallows {lines} of CSS"
                    yield self.at(place, f"{what}; write a space between: {{ {match[1]}")
