"""Template syntax left in a message, such as `{{ name }}` from a cell or a typo; also a blank text part."""

from __future__ import annotations

import re
from collections.abc import Iterator

from campaign.checks.checked import Surveyed
from campaign.checks.finding import Finding
from campaign.checks.found import Found
from campaign.checks.rule import Rule
from campaign.checks.rules.garbled import texts_in
from campaign.checks.seen import Seen
from campaign.errors import Problem
from campaign.model import Recipient

_MARK = re.compile(r"\{(?=[{%])")


class Check(Rule):
    """Reports template syntax that is left in messages, and blank text parts."""

    def report(self, surveyed: Surveyed, found: Found) -> Iterator[Problem]:
        """Yield what was found in messages, and the constants that it may come from."""
        problems = list(super().report(surveyed, found))
        for path, text in texts_in("vars", surveyed.campaign.vars) if problems else ():
            if _MARK.search(text):
                what = "`vars` are no templates, and this is mailed as it is; write it where it is used"
                yield self.at(surveyed.campaign.problem(path, ""), what)
        yield from problems

    def see(self, recipient: Recipient, message: Seen) -> Iterator[Finding]:
        for kind, part in (("text", message.text), ("html", message.html)):
            if part is not None and _MARK.search(part):
                place = self.checked.sources.template(kind, "markdown", "html", "mjml")
                what = f"the {kind} part shows {{{{ or {{% to the reader; look at a preview"
                yield self.find(self.at(place, what))
        if message.text is not None and not message.text.strip():
            place = self.checked.sources.template("text", "markdown", "html", "mjml")
            yield self.find(self.at(place, "the text part is blank"))
