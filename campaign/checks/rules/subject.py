"""A subject that is blank, a column's name, longer than 70 characters, all in capitals, or in “quotes”.

Phones show 30 to 50 characters of a subject, desktop programs about 70; the rest is cut. A blank subject,
and one in capitals, look like spam to people and to filters (SpamAssassin's SUBJ_ALL_CAPS). Typographic
quotes around it are mailed with it: YAML's are " and '.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from campaign.checks.checked import Checked
from campaign.checks.finding import Finding
from campaign.checks.rule import Rule
from campaign.checks.seen import Seen
from campaign.errors import Severity
from campaign.model import Recipient
from campaign.templating.names import Names

LONGEST = 70
"""Characters."""

_QUOTED = re.compile(r"[“„«‘‚»][^“”„«»]*[”“»’‘«]")
_FEW = 10  # capital letters: NEWS, or an abbreviation, is not shouting


class Check(Rule):
    """Reports subjects that are blank, too long, in capitals, or just a column's name."""

    def __init__(self, checked: Checked, name: str) -> None:
        super().__init__(checked, name)
        self._names = Names(checked.content.columns)
        self._place = checked.content.problem("subject", "")
        self._is_quoted = _QUOTED.fullmatch(checked.content.inline.get("subject", "").strip()) is not None
        if "templates.subject" in checked.content.files:
            self._place = checked.sources.template("subject")

    def see(self, recipient: Recipient, message: Seen) -> Iterator[Finding]:
        subject, place = message.subject, self._place
        if self._is_quoted:
            what = "the quotes around the subject are mailed with it; YAML's own are \" and '"
            yield self.find(self.at(place, what))
        if not subject:
            yield self.find(self.at(place, "the subject is blank"))
        elif subject in self._names.columns:
            what = f"the subject is {subject!r}, a column's name; to show the column, write"
            yield self.find(self.at(place, f"{what} {{{{ {self._names.written(subject)} }}}}"))
        elif len(subject) > LONGEST:
            shown = f"{subject[:LONGEST]}…"
            what = f"the subject is longer than {LONGEST} characters, and the rest is cut: {shown!r}"
            yield self.find(self.at(place, what, Severity.NOTE, same="long"))
        if subject.isupper() and sum(map(str.isupper, subject)) >= _FEW:
            what = f"the subject is all in capitals, like spam: {subject[:LONGEST]!r}"
            yield self.find(self.at(place, what, same="capitals"))
