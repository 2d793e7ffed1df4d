"""A `<style>`, `<script>`, `<title>` or `<!--` that is not closed: the rest of the mail is not shown.

Browsers and mail programs look for the end tag, or `-->`, and without it take the rest of the mail for
its content (HTML 13.2.5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from campaign.checks.finding import Finding
from campaign.checks.rule import Rule
from campaign.checks.seen import Seen
from campaign.errors import Problem, Severity
from campaign.message.html.markup import TOKEN
from campaign.message.html.template_styles import without_marks
from campaign.model import Recipient
from campaign.wording import counted

# `<!-->` and `<!--->` are complete comments. Character classes instead of (?i), as in `page`.
_OPEN = re.compile(
    r"<(?:([sS][tT][yY][lL][eE]|[sS][cC][rR][iI][pP][tT]|[tT][iI][tT][lL][eE])(?=[\s>])[^>]*>?|!--(?!-?>))"
)


class Check(Rule):
    """Reports elements and comments in the HTML that are not closed."""

    def see(self, recipient: Recipient, message: Seen) -> Iterator[Finding]:
        page = message.page
        if page is None or (found := _OPEN.search(page.body)) is None:
            return
        name = (found[1] or "").lower()
        begins, ends = (f"<{name}>", f"</{name}>") if name else ("<!--", "-->")
        lost = counted(len(page.body) - found.end(), "character")
        what = f"`{begins}` is not closed, so that what follows is not shown ({lost})"
        place = self._place(name) or self.in_html(found[0])
        yield self.find(self.at(place, f"{what}; write `{ends}` behind it", Severity.ERROR, same=begins))

    def _place(self, name: str) -> Problem | None:
        """Return the place where a template itself leaves it open, if one does."""
        for source, text in self.checked.sources.html.items():
            *_, last = [None, *TOKEN.finditer(without_marks(text))]
            found = _OPEN.match(last[0]) if last is not None and last.end() == len(text) else None
            if last is None or found is None or (found[1] or "").lower() != name:
                continue
            if not (last[0].endswith(("-->", "--!>")) if name == "" else f"</{name}" in last[0].lower()):
                return self.checked.sources.at(source, last.start())
        return None
